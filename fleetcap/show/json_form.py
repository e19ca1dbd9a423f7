"""One JSON object a line."""

from typing import Any, TextIO

from fleetcap_proto.v1 import common_pb2, connection_pb2, event_pb2, exchange_pb2
from fleetcap_streams.outputs import json_lines


class JsonPrinter:
    """Writes lines and flushes each, so that a pipe's reader is never behind."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def exchange(self, exchange: exchange_pb2.Exchange) -> None:
        """See `json_lines.exchange`."""
        self._write(json_lines.exchange(exchange))

    def message(self, message: exchange_pb2.Message, connection: common_pb2.Connection, node_id: str) -> None:
        """See `json_lines.message`."""
        self._write(json_lines.message(message, connection, node_id))

    def event(self, event: event_pb2.Event) -> None:
        """See `json_lines.event`."""
        self._write(json_lines.event(event))

    def connection(self, record: connection_pb2.ConnectionRecord) -> None:
        """See `json_lines.connection`."""
        self._write(json_lines.connection(record))

    def error(self, reason: str, where: str) -> None:
        """See `json_lines.error`."""
        self._write(json_lines.error(reason, where))

    def _write(self, value: dict[str, Any]) -> None:
        self._out.write(json_lines.line(value) + "\n")
        self._out.flush()
