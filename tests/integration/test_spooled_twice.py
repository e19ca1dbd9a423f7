"""What a killed producer may write twice, as the worker's engine sees it; no broker is needed for that."""

from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import ConnectionOut, Record
from fleetcap_streams.protocols.registry import default_registry
from tests.integration.numbered import record

SIZE = 200


def _data(number: int) -> bytes:
    batch = raw_pb2.RawBatch.FromString(record("one", [number * SIZE], SIZE).value)
    batch.connection.sock = 7
    return batch.SerializeToString()


def _closed() -> bytes:
    batch = raw_pb2.RawBatch.FromString(_data(0))
    del batch.events[:]
    batch.events.add(
        kind=raw_pb2.EVENT_KIND_CLOSED, timestamp_ns=2, closed=raw_pb2.Closed(sent_bytes=0, received_bytes=10 * SIZE)
    )
    return batch.SerializeToString()


def _ends(values: list[bytes]) -> list[ConnectionOut]:
    outputs = Engine(default_registry()).feed(Record(offset, b"one", value, 1000) for offset, value in enumerate(values))
    return [one for one in outputs if isinstance(one, ConnectionOut) and one.reason is not None]


def test_records_that_come_twice_are_dropped_by_their_positions_and_counted() -> None:
    values = [*map(_data, range(8)), *map(_data, range(4, 10)), _closed()]
    (end,) = _ends(values)
    assert (end.received.bytes, end.received.missing_bytes, end.received.duplicate_bytes) == (10 * SIZE, 0, 4 * SIZE)


def test_records_that_come_twice_behind_the_connections_end_do_not_end_it_twice() -> None:
    values = [*map(_data, range(10)), _closed(), _data(9), _closed()]
    (end, *again) = _ends(values)
    assert (end.received.bytes, end.received.missing_bytes) == (10 * SIZE, 0)
    assert sum(one.received.bytes for one in again) == 0
