"""What an input's records say, as a test wants to see it: per connection, what each direction carried."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fleetcap.inputs.frame import Frame
from fleetcap.inputs.packets import PacketRecords
from fleetcap.recording import Recorded
from fleetcap_proto.v1 import common_pb2, raw_pb2

HOLE = b"?"  # stands for every missing byte


@dataclass
class Told:
    """One connection. `received` and `sent` are its streams, with `?` for each byte that is known to be missing."""

    connection: common_pb2.Connection
    received: bytes = b""
    sent: bytes = b""
    closed: bool = False
    events: list[raw_pb2.RawEvent] = field(default_factory=list)


def told(records: Iterable[Recorded]) -> list[Told]:
    """Connections in the order in which they were first seen; fails where positions do not follow each other."""
    found: dict[str, Told] = {}
    for one in records:
        batch = raw_pb2.RawBatch.FromString(one.record.value or b"")
        assert one.record.key == batch.connection.uuid.encode()
        assert batch.event_count == len(batch.events)
        connection = found.setdefault(batch.connection.uuid, Told(batch.connection))
        for event in batch.events:
            connection.events.append(event)
            if event.kind == raw_pb2.EVENT_KIND_DATA:
                _carry(connection, event)
            elif event.kind == raw_pb2.EVENT_KIND_CLOSED:
                assert not connection.closed
                connection.closed = True
                totals = event.closed.received_bytes, event.closed.sent_bytes
                assert totals == (len(connection.received), len(connection.sent))
    return list(found.values())


def _carry(connection: Told, event: raw_pb2.RawEvent) -> None:
    bytes_ = event.payload + HOLE * (max(event.length, len(event.payload)) - len(event.payload))
    if event.direction == common_pb2.DIRECTION_SENT:
        assert event.position == len(connection.sent)
        connection.sent += bytes_
    else:
        assert event.position == len(connection.received)
        connection.received += bytes_


def of_frames(frames: Sequence[Frame]) -> list[Told]:
    """What a capture of these frames says."""
    return told(PacketRecords("capture", "node").records(frames))
