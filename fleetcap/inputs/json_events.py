"""Lines of JSON as records of the raw topic: the canonical JSON form of protobuf messages, one object a line.

A line is a `RawBatch`; or one `RawEvent`, which may have the batch's `connection`, `nodeId` and `bootId` beside its own fields;
or a `RecordedRecord`. Events without a connection belong to one that stands for the whole input. Field names may be camelCase
or as in the schema.
"""

import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from fleetcap.inputs.errors import BadLineError
from fleetcap.recording import MAX_RECORD_BYTES, Recorded
from fleetcap_proto.v1 import common_pb2, raw_pb2, recording_pb2
from fleetcap_streams.engine.values import Record

# Base64 makes four of three bytes; names and braces are within the rest.
MOST_LINE_BYTES: Final = 2 * MAX_RECORD_BYTES
_BOM: Final = b"\xef\xbb\xbf"
_RECORDED: Final = frozenset({"logTimeMs", "log_time_ms", "partition", "offset", "value", "key"})
_ENVELOPE: Final = frozenset({"connection", "nodeId", "node_id", "bootId", "boot_id"})
_FIELD: Final = re.compile(r"(?:Failed to parse|has no field named) \"?(\w{1,64})")


class JsonRecords:
    """Makes records of lines. `node` names what was captured where a line does not."""

    def __init__(self, name: str, node: str) -> None:
        self._name = name
        self._node = node
        self._line = 0
        self._offset = 0
        self._log_time_ms = 0
        self._positions = [0, 0]

    def records(self, stream: IO[bytes]) -> Iterator[Recorded]:
        """Records in the order of the lines; empty lines are passed over.

        Raises:
            BadLineError: a line is none of the three; everything before it was given.
        """
        while line := stream.readline(MOST_LINE_BYTES + 1):
            self._line += 1
            if len(line) > MOST_LINE_BYTES:
                raise self._bad(f"is over the limit of {MOST_LINE_BYTES:,} bytes; cut the batch into several")
            text = line.removeprefix(_BOM) if self._line == 1 else line
            if text.strip():
                yield self._record(self._object(text))

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text.decode())
        except json.JSONDecodeError as error:
            raise self._bad(f"no JSON object ({error.msg} at column {error.colno}); mend or remove the line") from error
        except (UnicodeDecodeError, RecursionError) as error:
            raise self._bad("no JSON object in UTF-8; mend or remove the line") from error
        if not isinstance(value, dict):
            raise self._bad("JSON, but no object; mend or remove the line")
        return value

    def _record(self, value: dict[str, Any]) -> Recorded:
        names = value.keys()
        if "kind" not in names and names & _RECORDED:
            return self._recorded(value)
        batch = raw_pb2.RawBatch()
        if "kind" in names:
            self._fill(batch, {name: value[name] for name in names & _ENVELOPE}, "RawBatch")
            self._fill(batch.events.add(), {name: value[name] for name in names - _ENVELOPE}, "RawEvent")
        else:
            self._fill(batch, value, "RawBatch")
        if batch.events and not batch.connection.uuid:
            self._name_connection(batch)
        return self._stamped(batch)

    def _recorded(self, value: dict[str, Any]) -> Recorded:
        found = recording_pb2.RecordedRecord()
        self._fill(found, value, "RecordedRecord")
        key = found.key if found.HasField("key") else None
        payload = found.value if found.HasField("value") else None
        self._log_time_ms = max(self._log_time_ms, found.log_time_ms)
        return Recorded(found.partition, Record(found.offset, key, payload, found.log_time_ms))

    def _fill(self, message: Message, value: dict[str, Any], what: str) -> None:
        try:
            ParseDict(value, message, max_recursion_depth=16)
        except (ParseError, ValueError, TypeError, AttributeError) as error:  # the last two: shapes that the parser trips over
            # Only the name that the schema, or the line, gives to the field: what follows in that text may be payload.
            found = _FIELD.findall(str(error))
            where = f", see its field {'.'.join(found)}" if found else ""
            raise self._bad(f"no {what} in protobuf's JSON form{where}; mend or remove the line") from error

    def _name_connection(self, batch: raw_pb2.RawBatch) -> None:
        """Facts need no connection, but bytes do."""
        if all(event.kind > raw_pb2.EVENT_KIND_CLOSED for event in batch.events):
            return
        batch.connection.uuid = f"{self._node}.events"
        batch.connection.source = batch.connection.source or common_pb2.SOURCE_PACKETS

    def _stamped(self, batch: raw_pb2.RawBatch) -> Recorded:
        """The time of its last event stands in for the broker's."""
        times = [event.timestamp_ns for event in batch.events]
        self._log_time_ms = max(self._log_time_ms, max(times, default=0) // 1_000_000)
        batch.node_id = batch.node_id or self._node
        key = batch.connection.uuid.encode() or None
        record = Record(self._offset, key, batch.SerializeToString(deterministic=True), self._log_time_ms)
        self._offset += 1
        return Recorded(0, record)

    def _bad(self, why: str) -> BadLineError:
        return BadLineError(self._name, self._line, why)
