"""The life of connections in user space: descriptions, closes, late events, and what nobody tells."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcap_producer import identity, table
from fleetcap_producer.clock import WallClock
from fleetcap_producer.decoding import Decoder
from fleetcap_producer.records import DATA, KIND_DATA, Closed, Described
from fleetcap_producer.state import SessionState, Totals
from fleetcap_producer.table import Connections, Namer
from fleetcap_proto.v1 import common_pb2, raw_pb2

SECOND = 1_000_000_000
OFFSET = 1_000


class FakeKernel:
    def __init__(self) -> None:
        self.connections: dict[int, Totals] = {}
        self.sessions: dict[tuple[int, int], SessionState] = {}
        self.sockets: dict[int, int] = {}
        self.lost: list[Closed] = []

    def totals(self, connection: int) -> Totals | None:
        return self.connections.get(connection)

    def session(self, tgid: int, ssl: int) -> SessionState | None:
        return self.sessions.get((tgid, ssl))

    def socket_born(self, sock: int) -> int | None:
        return self.sockets.get(sock)

    def forget_connection(self, connection: int) -> None:
        self.connections.pop(connection, None)

    def forget_session(self, tgid: int, ssl: int) -> None:
        self.sessions.pop((tgid, ssl), None)

    def lost_closes(self) -> Iterator[Closed]:
        while self.lost:
            yield self.lost.pop()


def seen(connection: int = 1, **values: Any) -> Described:
    """A connection of this very process, so that it exists."""
    given: dict[str, Any] = dict.fromkeys(Described._fields, 0) | {
        "tgid": os.getpid(),
        "connection": connection,
        "first_seen": connection,
        "session": 0x7000 + connection,
        "sock": 0xFFFF_0000,
        "born": 5,
        "opened": 7,
        "tid": os.getpid() + 1,
        "fd": 3,
        "begun": 1,
        "source": common_pb2.SOURCE_OPENSSL,
        "role": 1,
        "local": "10.0.0.1",
        "remote": "10.0.0.2",
        "local_port": 40000,
        "remote_port": 443,
        "comm": "curl",
        "command_line": "curl -s",
    }
    return Described(**given | values)


class World:
    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.connections = Connections(
            self.kernel, Namer("node", "0123456789", lambda _seen: "/lib/libssl.so.3"), lambda ns: ns + OFFSET
        )

    def describe(self, what: Described) -> list[Any]:
        self.kernel.connections.setdefault(what.connection, Totals(0, 0))
        self.kernel.sessions.setdefault((what.tgid, what.session), SessionState(what.connection, freed=False))
        if what.sock:
            self.kernel.sockets.setdefault(what.sock, what.born)
        return list(self.connections.described(what))


@pytest.fixture
def world() -> World:
    return World()


def test_an_opening_that_was_seen_is_told_once(world: World) -> None:
    (opened,) = world.describe(seen())
    assert (opened.kind, opened.timestamp_ns) == (raw_pb2.EVENT_KIND_OPENED, 7 + OFFSET)
    assert opened.connection.role == common_pb2.ROLE_CLIENT
    assert world.describe(seen()) == []
    assert opened.connection.revision == 0, "nothing new was learned"


def test_an_opening_that_was_not_seen_is_not_told(world: World) -> None:
    assert world.describe(seen(opened=0, begun=0)) == []
    assert world.connections.by_id[1].connection.joined


def test_a_socket_learned_later_raises_the_revision_and_keeps_the_name(world: World) -> None:
    world.describe(seen(sock=0, born=0, opened=0, local="", remote="", fd=-1))
    connection = world.connections.by_id[1].connection
    name = connection.uuid
    assert not connection.HasField("local")
    world.describe(seen())
    assert world.connections.by_id[1].connection is connection
    assert (connection.uuid, connection.revision, connection.remote.port) == (name, 1, 443)
    (closed,) = world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND)
    assert closed.connection.uuid == name


def test_one_destroyed_socket_ends_every_connection_on_it_with_its_totals(world: World) -> None:
    world.describe(seen(1))
    world.describe(seen(2, tgid=os.getppid()))
    world.describe(seen(3, sock=0xEEEE_0000))
    world.kernel.connections[1] = Totals(100, 20)
    del world.kernel.connections[2]
    closed = list(world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND))
    assert [(event.kind, event.timestamp_ns, event.received_total, event.sent_total) for event in closed] == [
        (raw_pb2.EVENT_KIND_CLOSED, 9 + OFFSET, 100, 20),
        (raw_pb2.EVENT_KIND_CLOSED, 9 + OFFSET, None, None),
    ]
    assert list(world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND)) == []


def test_a_later_socket_at_the_same_address_is_another(world: World) -> None:
    world.describe(seen(1))
    assert list(world.connections.closed(Closed(0xFFFF_0000, 6, 9), SECOND)) == []


def test_a_closed_connection_is_remembered_for_late_events_and_then_forgotten(world: World) -> None:
    world.describe(seen(1))
    list(world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND))
    world.connections.trim(60 * SECOND)
    assert 1 in world.connections.by_id
    world.connections.trim(62 * SECOND)
    assert 1 not in world.connections.by_id
    assert not world.kernel.connections
    assert not world.kernel.sessions


def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MOST_CLOSED", 10)
    for number in range(30):
        world.describe(seen(number, sock=number + 1))
        list(world.connections.closed(Closed(number + 1, 5, 9), SECOND))
        world.connections.trim(SECOND)
    assert sorted(world.connections.by_id) == list(range(20, 30))
    assert world.connections._by_socket == {}


def test_the_kernel_forgets_a_freed_and_closed_connection_at_once(world: World) -> None:
    world.describe(seen(1))
    world.kernel.sessions[os.getpid(), 0x7001] = SessionState(1, freed=True)
    list(world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND))
    assert not world.kernel.connections
    assert not world.kernel.sessions


def test_the_session_of_a_later_connection_stays(world: World) -> None:
    world.describe(seen(1))
    world.kernel.sessions[os.getpid(), 0x7001] = SessionState(99, freed=False)
    list(world.connections.closed(Closed(0xFFFF_0000, 5, 9), SECOND))
    world.connections.trim(100 * SECOND)
    assert world.kernel.sessions == {(os.getpid(), 0x7001): SessionState(99, freed=False)}


def test_a_close_that_found_no_room_is_told_later(world: World) -> None:
    world.describe(seen(1))
    world.kernel.lost.append(Closed(0xFFFF_0000, 5, 9))
    (closed,) = world.connections.recover_closes(SECOND)
    assert closed.kind == raw_pb2.EVENT_KIND_CLOSED


def sweep_twice(world: World) -> list[Any]:
    return [event for at in (20, 40) for event in world.connections.sweep(at * SECOND)]


def test_a_connection_in_order_survives_sweeps(world: World) -> None:
    world.describe(seen(1))
    world.describe(seen(2, sock=0))
    assert sweep_twice(world) == []
    assert set(world.connections.by_id) == {1, 2}
    assert world.connections.evicted == 0


def test_nothing_is_given_up_at_the_first_look(world: World) -> None:
    world.describe(seen(1, sock=0))
    world.kernel.sessions.clear()
    list(world.connections.sweep(20 * SECOND))
    assert 1 in world.connections.by_id


def test_a_dead_process_whose_socket_is_gone_is_closed(world: World) -> None:
    world.describe(seen(1, tgid=2**22 + 1))
    world.kernel.sockets.clear()
    (closed,) = sweep_twice(world)
    assert closed.kind == raw_pb2.EVENT_KIND_CLOSED


def test_an_evicted_socket_is_counted_and_not_closed(world: World) -> None:
    world.describe(seen(1))
    world.kernel.sockets.clear()
    assert sweep_twice(world) == []
    assert world.connections.evicted == 1


@pytest.mark.parametrize(
    ("session", "evicted"),
    [(SessionState(1, freed=True), 0), (SessionState(2, freed=False), 0), (None, 1)],
    ids=["freed", "reused", "evicted"],
)
def test_a_connection_without_socket_ends_with_its_session(world: World, session: SessionState | None, evicted: int) -> None:
    world.describe(seen(1, sock=0))
    world.kernel.sessions.clear()
    if session:
        world.kernel.sessions[os.getpid(), 0x7001] = session
    else:
        world.kernel.connections.clear()
    assert sweep_twice(world) == []
    assert world.connections.by_id == {}
    assert world.connections.evicted == evicted


# Identity


def uuid(**values: Any) -> str:
    return identity.connection_uuid("node", "01234567-89ab", seen(**values))


@pytest.mark.parametrize("field", ["tgid", "process_start", "sock", "inode", "first_seen"])
def test_names_differ_by_each_part(field: str) -> None:
    assert uuid(**{field: 123456}) != uuid(**{field: 123457})


@pytest.mark.parametrize("field", ["tid", "fd", "session", "role", "local_port", "comm"])
def test_names_do_not_hang_on_what_changes(field: str) -> None:
    assert uuid(**{field: 1}) == uuid(**{field: 2})


def test_names_without_socket_hang_on_the_session() -> None:
    assert uuid(sock=0, session=1) != uuid(sock=0, session=2)
    assert ".tls." in uuid(sock=0)


@given(st.text(min_size=1, max_size=40))
def test_names_are_printable_whatever_the_node_is_called(node: str) -> None:
    name = identity.connection_uuid(node, "01234567-89ab", seen())
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert len(name.split(".")) == 7


@given(st.integers(0, 2**64 - 1))
def test_base36_is_the_number(number: int) -> None:
    assert int(identity.base36(number), 36) == number


# Decoding


def data(connection: int = 1, payload: bytes = b"x", length: int | None = None, tid: int = 0, comm: bytes = b"curl") -> bytes:
    size = len(payload) if length is None else length
    return DATA.pack(KIND_DATA, 1, connection, 50, 3, size, len(payload), tid, comm.ljust(16, b"\0")) + payload


def decode(world: World, record: bytes) -> list[Any]:
    events: list[Any] = []
    Decoder(world.connections, WallClock(lambda: 0, lambda: OFFSET)).decode(memoryview(b"pad" + record), [3], SECOND, events)
    return events


def test_data_is_stamped_and_belongs_to_its_connection(world: World) -> None:
    world.describe(seen())
    (event,) = decode(world, data(payload=b"hello", tid=os.getpid() + 1))
    assert event.connection is world.connections.by_id[1].connection
    assert (event.kind, event.direction, event.position, event.timestamp_ns) == (raw_pb2.EVENT_KIND_DATA, 1, 3, 50 + OFFSET)
    assert (event.payload, event.length, event.tid, event.comm) == (b"hello", 0, 0, "")


def test_data_of_another_thread_says_so(world: World) -> None:
    world.describe(seen())
    (event,) = decode(world, data(tid=77, comm=b"worker"))
    assert (event.tid, event.comm) == (77, "worker")


@pytest.mark.parametrize(("payload", "length"), [(b"abc", 10), (b"", 10)])
def test_cut_data_has_its_true_length(world: World, payload: bytes, length: int) -> None:
    world.describe(seen())
    (event,) = decode(world, data(payload=payload, length=length))
    assert (event.payload, event.length) == (payload, length)


def test_data_of_a_forgotten_connection_begins_a_new_one(world: World) -> None:
    world.kernel.connections[9] = Totals(1, 1)
    assert decode(world, data(9)) == []
    assert 9 not in world.kernel.connections
