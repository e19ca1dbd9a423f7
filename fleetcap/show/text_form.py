"""The reference's text and hex forms: messages only. Exchanges and connections have no such form and are passed over."""

import sys
from typing import TextIO

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2
from fleetcap_streams.outputs.text import text_form


class TextPrinter:
    """Writes each event as the reference prints it."""

    def __init__(self, out: TextIO, *, as_hex: bool) -> None:
        self._out = out
        self._as_hex = as_hex

    def exchange(self, exchange: exchange_pb2.Exchange) -> None:
        """Nothing: its two messages come as events."""

    def message(self, message: exchange_pb2.Message, connection: common_pb2.Connection, node_id: str) -> None:
        """Nothing: it comes as an event."""

    def event(self, event: event_pb2.Event) -> None:
        """A line of who and where, then the message."""
        text = text_form(event, as_hex=self._as_hex) + b"\n"
        if self._out.isatty():
            # Bytes that are no text must not move a terminal's cursor or set its title.
            self._out.write(_tame(text.decode("utf-8", "backslashreplace")))
        else:
            self._out.buffer.write(text)
        self._out.flush()

    def connection(self, record: connection_pb2.ConnectionRecord) -> None:
        """Nothing."""

    def error(self, reason: str, where: str) -> None:
        """To stderr, since it is no message."""
        sys.stderr.write(f"{where}: {reason}\n")


def _tame(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\r\n\t" else repr(char)[1:-1] for char in text)
