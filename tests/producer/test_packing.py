"""Packing: what is cut when, that nothing changes places, and that the hand-laid wire form is the schema's."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import LARGEST_TARGET_BYTES, Packed, Packer, PackerOptions
from fleetcap_proto.v1 import common_pb2, raw_pb2

DATA, OPENED, CLOSED = raw_pb2.EVENT_KIND_DATA, raw_pb2.EVENT_KIND_OPENED, raw_pb2.EVENT_KIND_CLOSED
U32, U64 = 2**32 - 1, 2**64 - 1
SMALL = PackerOptions(linger_s=0.010, target_bytes=2000, max_events=5)


def _connection(name: str = "one", **more: object) -> common_pb2.Connection:
    process = common_pb2.Process(pid=7, comm="curl", labels={"pod": "p", "app": "a"})
    return common_pb2.Connection(uuid=name, tid=7, process=process, **more)  # type: ignore[arg-type]


def _data(
    connection: common_pb2.Connection, position: int = 0, payload: bytes = b"x", direction: int = 0, length: int = 0
) -> Captured:
    return Captured(connection, DATA, 1_000 + position, direction, position, payload, length)


def _batches(packed: Iterable[Packed]) -> list[raw_pb2.RawBatch]:
    batches = [raw_pb2.RawBatch.FromString(one.value) for one in packed]
    for one, batch in zip(packed, batches, strict=True):
        assert one.key == batch.connection.uuid.encode()
        assert one.events == batch.event_count == len(batch.events)
    return batches


def _sizes(packed: Iterable[Packed]) -> list[int]:
    return [one.events for one in packed]


def _as_schema(event: Captured) -> raw_pb2.RawEvent:
    """The event as the generated classes say it, written without any of packing's code."""
    message = raw_pb2.RawEvent(kind=event.kind, timestamp_ns=event.timestamp_ns, direction=event.direction)  # type: ignore[arg-type]
    message.position, message.payload, message.length = event.position, event.payload, event.length
    if event.tid != event.connection.tid:
        message.tid = event.tid
    if event.comm != event.connection.process.comm:
        message.comm = event.comm
    if event.kind == CLOSED and event.received_total is not None:
        message.closed.received_bytes = event.received_total
    if event.kind == CLOSED and event.sent_total is not None:
        message.closed.sent_bytes = event.sent_total
    return message


EVENTS = st.builds(
    Captured,
    connection=st.just(_connection(revision=3, fd=0)),
    kind=st.sampled_from([DATA, DATA, DATA, OPENED, CLOSED]),
    timestamp_ns=st.integers(1, U64),  # 0 would be left out by the generated classes; no event has it
    direction=st.sampled_from([0, 1]),
    position=st.one_of(
        st.integers(0, U64), st.sampled_from([0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**35, U64])
    ),
    payload=st.one_of(
        st.binary(max_size=300), st.sampled_from([127, 128, 16383 - 40, 16383, 16384, 70_000]).map(lambda size: b"y" * size)
    ),
    length=st.integers(0, U64),
    tid=st.sampled_from([0, 7, 8, U32]),
    comm=st.sampled_from(["", "curl", "worker-1", "é"]),
    received_total=st.none() | st.integers(0, U64),
    sent_total=st.none() | st.integers(0, U64),
)


@given(events=st.lists(EVENTS, min_size=1, max_size=6))
@settings(max_examples=300)
def test_records_are_byte_for_byte_what_the_generated_classes_write(events: list[Captured]) -> None:
    packer = Packer("node", "boot", PackerOptions(target_bytes=LARGEST_TARGET_BYTES))
    packed = packer.add(events, 0.0) + packer.flush()
    rest = list(events)
    for one in packed:
        batch = raw_pb2.RawBatch(node_id="node", boot_id="boot", event_count=one.events, connection=events[0].connection)
        batch.events.extend(_as_schema(event) for event in rest[: one.events])
        del rest[: one.events]
        assert one.value == batch.SerializeToString(deterministic=True)
    assert rest == []


@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 900), st.integers(0, 8), st.booleans()), max_size=60),
)
def test_nothing_is_lost_doubled_or_out_of_order_whenever_records_are_cut(steps: list[tuple[str, int, int, bool]]) -> None:
    connections = {name: _connection(name) for name in "abc"}
    packer = Packer("node", "boot", SMALL)
    out: list[Packed] = []
    now = 0.0
    for number, (name, size, wait, due) in enumerate(steps):
        now += wait / 1000
        out += packer.add([_data(connections[name], number, b"z" * size)], now)
        out += packer.due(now) if due else []
    out += packer.flush()
    found: dict[str, list[int]] = {name: [] for name in "abc"}
    for batch in _batches(out):
        found[batch.connection.uuid] += [event.position for event in batch.events]
    assert found == {name: [n for n, step in enumerate(steps) if step[0] == name] for name in "abc"}
    assert max(_sizes(out), default=0) <= SMALL.max_events
    assert packer.events == len(steps)
    assert packer.payload_bytes == sum(size for _, size, _, _ in steps)


def test_events_that_come_within_the_linger_time_share_a_record() -> None:
    packer = Packer("node", "boot", PackerOptions(linger_s=0.010))
    connection = _connection()
    assert packer.add([_data(connection, 0)], 5.000) == []
    assert packer.add([_data(connection, 1)], 5.009) == []
    assert packer.due(5.009) == []
    assert _sizes(packer.due(5.011)) == [2]
    assert packer.due(9.0) == []


def test_the_wait_is_until_the_oldest_record_is_due() -> None:
    packer = Packer("node", "boot", PackerOptions(linger_s=0.010))
    assert packer.wait_s(5.0) is None
    packer.add([_data(_connection("a"))], 5.000)
    packer.add([_data(_connection("b"))], 5.004)
    assert packer.wait_s(5.004) == pytest.approx(0.006)
    assert packer.wait_s(7.0) == 0.0
    packer.due(5.012)
    assert packer.wait_s(5.012) == pytest.approx(0.002)


def test_only_records_that_are_due_are_cut() -> None:
    packer = Packer("node", "boot", PackerOptions(linger_s=0.010))
    packer.add([_data(_connection("a"))], 1.000)
    packer.add([_data(_connection("b"))], 1.008)
    assert [one.key for one in packer.due(1.012)] == [b"a"]
    assert [one.key for one in packer.due(1.020)] == [b"b"]


def test_a_record_is_cut_before_it_would_be_over_the_target() -> None:
    packer = Packer("node", "boot", PackerOptions(target_bytes=4000))
    connection = _connection()
    packed = packer.add([_data(connection, n * 1500, b"p" * 1500) for n in range(5)], 0.0) + packer.flush()
    assert _sizes(packed) == [2, 2, 1]


def test_a_record_is_cut_at_its_largest_number_of_events() -> None:
    packer = Packer("node", "boot", SMALL)
    packed = packer.add([_data(_connection(), n) for n in range(12)], 0.0)
    assert _sizes(packed) == [5, 5]
    assert _sizes(packer.flush()) == [2]


@pytest.mark.parametrize("target", [1024, 256 * 1024, LARGEST_TARGET_BYTES])
def test_no_record_comes_near_what_kafka_takes(target: int) -> None:
    packer = Packer("node", "boot", PackerOptions(target_bytes=target))
    connection = _connection()
    payload = bytes(range(256)) * 12_000
    packed = packer.add([_data(connection, 100, payload), _data(connection, 100 + len(payload))], 0.0) + packer.flush()
    assert max(len(one.value) for one in packed) <= 900_000


def test_a_payload_over_the_target_becomes_several_events_whose_positions_meet() -> None:
    packer = Packer("node", "boot", PackerOptions(target_bytes=1024))
    connection = _connection()
    payload = bytes(n % 251 for n in range(5000))
    event = _data(connection, 77, payload, direction=1, length=9000)
    events = [event for batch in _batches(packer.add([event], 0.0) + packer.flush()) for event in batch.events]
    assert b"".join(event.payload for event in events) == payload
    position = 77
    for one in events:
        assert one.position == position
        assert one.direction == 1
        position += one.length or len(one.payload)
    assert position == 77 + 9000
    assert [bool(event.length) for event in events] == [False] * (len(events) - 1) + [True]


def test_a_close_is_shipped_at_once_and_what_comes_late_follows_it() -> None:
    packer = Packer("node", "boot")
    connection = _connection()
    closed = Captured(connection, CLOSED, 5, received_total=0, sent_total=None)
    (batch,) = _batches(packer.add([_data(connection), closed], 0.0))
    assert [event.kind for event in batch.events] == [DATA, CLOSED]
    assert batch.events[1].closed.HasField("received_bytes")
    assert not batch.events[1].closed.HasField("sent_bytes")
    assert packer.add([_data(connection, 1)], 0.0) == []
    assert _sizes(packer.flush()) == [1]


def test_what_becomes_known_about_a_connection_stands_on_its_next_record() -> None:
    packer = Packer("node", "boot")
    connection = _connection()
    (before,) = _batches(packer.add([_data(connection)], 0.0) + packer.flush())
    connection.remote.ip, connection.revision = "192.0.2.1", 1
    (after,) = _batches(packer.add([_data(connection)], 0.0) + packer.flush())
    assert (before.connection.revision, before.connection.remote.ip) == (0, "")
    assert (after.connection.revision, after.connection.remote.ip) == (1, "192.0.2.1")


def test_a_process_that_is_renamed_does_not_rename_what_it_did_before() -> None:
    packer = Packer("node", "boot")
    connection = _connection()
    packer.add([_data(connection)._replace(comm="curl")], 0.0)
    connection.process.comm, connection.revision = "renamed", 1
    connection.remote.ip = "192.0.2.1"
    packer.add([_data(connection)._replace(comm="renamed")], 0.0)
    (before,) = _batches(packer.flush())
    packer.add([_data(connection)._replace(comm="renamed")], 0.0)
    (after,) = _batches(packer.flush())
    assert [event.comm or before.connection.process.comm for event in before.events] == ["curl", "renamed"]
    assert before.connection.remote.ip == "192.0.2.1"
    assert [event.comm or after.connection.process.comm for event in after.events] == ["renamed"]
    assert after.connection == connection


def test_a_connection_is_serialized_once_for_each_revision() -> None:
    class Counting:
        """Stands for a connection and counts how often it is serialized."""

        uuid, tid, revision, process, times = "one", 7, 0, common_pb2.Process(comm="curl"), 0

        def SerializeToString(self, *, deterministic: bool) -> bytes:  # noqa: N802 - protobuf's name
            assert deterministic
            self.times += 1
            return _connection(revision=self.revision).SerializeToString()

    connection = Counting()
    packer = Packer("node", "boot")
    for revision, times in [(0, 1), (0, 1), (1, 2), (1, 2)]:
        connection.revision = revision
        packer.add([_data(connection)], 0.0)  # type: ignore[arg-type]
        packer.flush()
        assert connection.times == times


def test_the_connections_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleetcap_producer.packing._REMEMBERED", 10)
    packer = Packer("node", "boot")
    for n in range(100):
        packer.add([_data(_connection(f"c{n}"))], 0.0)
        packer.flush()
        assert len(packer._connections) <= 10


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"target_bytes": 1023}, "target_bytes"),
        ({"target_bytes": 10**6}, "target_bytes"),
        ({"max_events": 0}, "max_events"),
        ({"linger_s": -1}, "linger_s"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, int], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        PackerOptions(**options)
