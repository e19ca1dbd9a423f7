"""What a form of showing has to offer, and the choice among them."""

from typing import Protocol, TextIO

from fleetcap.show.json_form import JsonPrinter
from fleetcap.show.table import TablePrinter
from fleetcap.show.text_form import TextPrinter
from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2

EVENT_FORMS = ("text", "hex")  # these show single messages, the others exchanges


class Printer(Protocol):
    """Shows one thing at a time, as it comes."""

    def exchange(self, exchange: exchange_pb2.Exchange) -> None:
        """A request with its response."""

    def message(self, message: exchange_pb2.Message, connection: common_pb2.Connection, node_id: str) -> None:
        """A message that belongs to no exchange."""

    def event(self, event: event_pb2.Event) -> None:
        """A message in the reference's shape."""

    def connection(self, record: connection_pb2.ConnectionRecord) -> None:
        """A connection that was first seen, or ended."""

    def error(self, reason: str, where: str) -> None:
        """A record that could not be read."""


def printer(form: str, out: TextIO) -> Printer:
    """The printer of a form; empty: a table on a terminal, JSON lines elsewhere."""
    form = form or ("table" if out.isatty() else "json")
    match form:
        case "json":
            return JsonPrinter(out)
        case "text" | "hex":
            return TextPrinter(out, as_hex=form == "hex")
        case _:
            return TablePrinter(out)
