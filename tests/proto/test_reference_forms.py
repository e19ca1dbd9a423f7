"""Two forms that are other people's: the reference's `LogEntry`, and the one that eCapture's releases put on the wire.

Literal tables, and literal bytes: neither may follow a change of our schemas.
"""

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from fleetcap_proto.v1 import ecapture_pb2, event_pb2

REFERENCE_EVENT = {
    1: ("timestamp", "int64"),
    2: ("uuid", "string"),
    3: ("pid", "int64"),
    4: ("pname", "string"),
    5: ("src_ip", "string"),
    6: ("src_port", "uint32"),
    7: ("dst_ip", "string"),
    8: ("dst_port", "uint32"),
    9: ("type", "uint32"),
    10: ("length", "uint32"),
    11: ("payload", "bytes"),
}
ECAPTURE_EVENT = {
    1: ("timestamp", "int64"),
    2: ("uuid", "string"),
    3: ("src_ip", "string"),
    4: ("src_port", "uint32"),
    5: ("dst_ip", "string"),
    6: ("dst_port", "uint32"),
    7: ("pid", "int64"),
    8: ("pname", "string"),
    9: ("type", "uint32"),
    10: ("length", "uint32"),
    11: ("payload", "bytes"),
}
HEARTBEAT = {1: ("timestamp", "int64"), 2: ("count", "int64"), 3: ("message", "string")}
REFERENCE_ENTRY = {1: ("log_type", "enum"), 2: ("event_payload", "message")}
ECAPTURE_ENTRY = {
    1: ("log_type", "enum"),
    2: ("event_payload", "message"),
    3: ("heartbeat_payload", "message"),
    4: ("run_log", "string"),
}
LOG_TYPES = {0: "LOG_TYPE_HEARTBEAT", 1: "LOG_TYPE_PROCESS_LOG", 2: "LOG_TYPE_EVENT"}
FIRST_OF_OURS = 12


def _table(message: Any) -> dict[int, tuple[str, str]]:
    types = FieldDescriptorProto.Type
    return {field.number: (field.name, types.Name(field.type).removeprefix("TYPE_").lower()) for field in message.fields}


def _values(enum: Any) -> dict[int, str]:
    return {value.number: value.name for value in enum.values}


@pytest.mark.parametrize(
    ("message", "table"),
    [
        (event_pb2.LogEntry, REFERENCE_ENTRY),
        (ecapture_pb2.EcaptureEvent, ECAPTURE_EVENT),
        (ecapture_pb2.EcaptureHeartbeat, HEARTBEAT),
        (ecapture_pb2.EcaptureLogEntry, ECAPTURE_ENTRY),
    ],
)
def test_numbers_and_types_are_theirs(message: Any, table: dict[int, tuple[str, str]]) -> None:
    assert _table(message.DESCRIPTOR) == table


def test_the_events_first_eleven_fields_are_the_references_and_ours_come_after() -> None:
    fields = _table(event_pb2.Event.DESCRIPTOR)
    assert {number: field for number, field in fields.items() if number < FIRST_OF_OURS} == REFERENCE_EVENT


def test_log_types_have_the_references_numbers() -> None:
    assert _values(event_pb2.LogType.DESCRIPTOR) == LOG_TYPES


def test_the_payloads_are_one_of() -> None:
    assert [one.name for one in event_pb2.LogEntry.DESCRIPTOR.oneofs] == ["payload"]
    names = [field.name for field in ecapture_pb2.EcaptureLogEntry.DESCRIPTOR.oneofs_by_name["payload"].fields]
    assert names == ["event_payload", "heartbeat_payload", "run_log"]


VALUES = {
    "timestamp": 1,
    "uuid": "u",
    "pid": 7,
    "pname": "curl",
    "src_ip": "::1",
    "src_port": 2,
    "dst_ip": "::2",
    "dst_port": 443,
    "type": 1,
    "length": 3,
    "payload": b"GET",
}
# Tag and value of each field, by hand: (number << 3) | wire type.
ECAPTURE_BYTES = bytes.fromhex("0801 120175 1a033a3a31 2002 2a033a3a32 30bb03 3807 42046375726c 4801 5003 5a03474554")
REFERENCE_BYTES = bytes.fromhex("0801 120175 1807 22046375726c 2a033a3a31 3002 3a033a3a32 40bb03 4801 5003 5a03474554")


@pytest.mark.parametrize(
    ("message", "wire"),
    [(ecapture_pb2.EcaptureEvent, ECAPTURE_BYTES), (event_pb2.Event, REFERENCE_BYTES)],
)
def test_the_bytes_are_theirs(message: type[event_pb2.Event] | type[ecapture_pb2.EcaptureEvent], wire: bytes) -> None:
    assert message(**VALUES).SerializeToString(deterministic=True) == wire  # type: ignore[arg-type]  # one table for both
    assert message.FromString(wire) == message(**VALUES)  # type: ignore[arg-type]


def test_an_entry_is_theirs_to_the_byte() -> None:
    entry = ecapture_pb2.EcaptureLogEntry(log_type=event_pb2.LOG_TYPE_HEARTBEAT)
    entry.heartbeat_payload.count = 5
    assert entry.SerializeToString() == b"\x1a\x02\x10\x05"
    entry = ecapture_pb2.EcaptureLogEntry(log_type=event_pb2.LOG_TYPE_PROCESS_LOG, run_log="up")
    assert entry.SerializeToString() == b"\x08\x01\x22\x02up"
