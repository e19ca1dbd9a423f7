"""The connections that the tap knows, from the kernel's first description of each to the destruction of its socket.

    described ─▶ known ─▶ closed ─▶ remembered for late events ─▶ forgotten, here and in the kernel

Owns identity and life as user space sees them; reads the kernel's maps through `Kernel` and no ring buffer.
"""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from fleetcap_producer import identity
from fleetcap_producer.captured import Captured
from fleetcap_producer.records import Closed, Described
from fleetcap_producer.state import Kernel
from fleetcap_proto.v1 import common_pb2, raw_pb2

# A read after the socket's destruction comes from the library's own buffer, so it comes soon. The number bounds memory
# (about 1.5 KB each) where thousands of connections end each second.
_LATE_NS = 60_000_000_000
_MOST_CLOSED = 16_384

_MOST_PROCESSES = 4096
_SWEEP_NS = 10_000_000_000


class Known:
    """A connection that was described. `comm` is as in the records of data, to tell another thread's name from it."""

    __slots__ = ("closed_ns", "comm", "connection", "id", "session", "socket", "suspect", "tid")

    def __init__(self, seen: Described, connection: common_pb2.Connection) -> None:
        self.id = seen.connection
        self.connection = connection
        self.session = seen.tgid, seen.session
        self.socket: tuple[int, int] | None = None
        self.tid = seen.tid
        self.comm = seen.comm
        self.closed_ns = 0  # 0 while open
        self.suspect = False  # it looked over at the last sweep; what tells of it may still wait in the ring buffer


class Namer:
    """Makes `Connection` messages: node, boot, and what is the same for all connections of a process."""

    def __init__(self, node_id: str, boot: str, library_of: Callable[[Described], str]) -> None:
        self._node_id = node_id
        self._boot = boot
        self._library_of = library_of
        self._processes: dict[tuple[int, int, int, int], tuple[str, str]] = {}

    def name(self, seen: Described) -> common_pb2.Connection:
        """A new connection's message."""
        uuid = identity.connection_uuid(self._node_id, self._boot, seen)
        return identity.new_connection(uuid, seen, *self._process(seen))

    def _process(self, seen: Described) -> tuple[str, str]:
        """Library and container, looked up once: reading /proc for each of a busy server's connections would be dear."""
        key = seen.tgid, seen.process_start, seen.source, seen.library
        if key not in self._processes:
            if len(self._processes) >= _MOST_PROCESSES:
                del self._processes[next(iter(self._processes))]
            self._processes[key] = self._library_of(seen), identity.container_id(seen.tgid)
        return self._processes[key]


class Connections:
    """The table. `to_unix` turns kernel nanoseconds into Unix nanoseconds; times called `now_ns` are kernel nanoseconds.

    `by_id` is read, and only read, for each event.
    """

    def __init__(self, kernel: Kernel, namer: Namer, to_unix: Callable[[int], int]) -> None:
        self._kernel = kernel
        self._namer = namer
        self._to_unix = to_unix
        self.by_id: dict[int, Known] = {}
        self._by_socket: dict[tuple[int, int], list[Known]] = {}
        self._closed: deque[Known] = deque()
        self._swept_ns = 0
        self.evicted = 0  # connections that the kernel forgot while they may have been open

    def described(self, seen: Described) -> Iterator[Captured]:
        """Takes over a description; gives the OPENED of a connection whose opening was seen."""
        known = self.by_id.get(seen.connection)
        if known is not None:
            if identity.learn(known.connection, seen):
                known.connection.revision += 1
            self._on_socket(known, seen)
            return
        known = Known(seen, self._namer.name(seen))
        self.by_id[known.id] = known
        self._on_socket(known, seen)
        if seen.opened:
            yield Captured(known.connection, raw_pb2.EVENT_KIND_OPENED, self._to_unix(seen.opened), tid=seen.tid)

    def _on_socket(self, known: Known, seen: Described) -> None:
        if seen.sock and known.socket is None:
            known.socket = seen.sock, seen.born
            self._by_socket.setdefault(known.socket, []).append(known)

    def closed(self, closed: Closed, now_ns: int) -> Iterator[Captured]:
        """A socket was destroyed: the CLOSED of each connection on it."""
        for known in self._by_socket.pop((closed.sock, closed.born), ()):
            yield self._end(known, closed.time, now_ns)

    def _end(self, known: Known, time_ns: int, now_ns: int) -> Captured:
        totals = self._kernel.totals(known.id)
        known.closed_ns = now_ns
        self._closed.append(known)
        session = self._kernel.session(*known.session)
        if session and session.freed and session.connection == known.id:
            self._forget_in_kernel(known)
        return Captured(
            known.connection,
            raw_pb2.EVENT_KIND_CLOSED,
            self._to_unix(time_ns),
            tid=known.tid,
            received_total=totals.received if totals else None,
            sent_total=totals.sent if totals else None,
        )

    def unknown(self, connection: int) -> None:
        """Data came of a connection forgotten here: the kernel shall describe what follows as a new one."""
        self._kernel.forget_connection(connection)

    def trim(self, now_ns: int) -> None:
        """Forgets what was closed long ago; to be called often."""
        while self._closed and (len(self._closed) > _MOST_CLOSED or now_ns - self._closed[0].closed_ns > _LATE_NS):
            self._forget(self._closed.popleft())

    def sweep(self, now_ns: int) -> Iterator[Captured]:
        """Every ten seconds, ends and forgets connections of which nobody will tell that they are over.

        To be called when the ring buffer is empty, like `recover_closes`.
        """
        if now_ns - self._swept_ns < _SWEEP_NS:
            return
        self._swept_ns = now_ns
        yield from self.recover_closes(now_ns)
        for known in [known for known in self.by_id.values() if not known.closed_ns]:
            over = self._looks_over(known)
            if over and known.suspect:
                yield from self._give_up(known, now_ns)
            known.suspect = over

    def recover_closes(self, now_ns: int) -> Iterator[Captured]:
        """The CLOSED events for which the ring buffer had no room; data that precedes them must not wait there."""
        for lost in self._kernel.lost_closes():
            yield from self.closed(lost, now_ns)

    def _looks_over(self, known: Known) -> bool:
        if known.socket is not None:
            return self._kernel.socket_born(known.socket[0]) != known.socket[1]
        if not _process_exists(known):
            return True
        session = self._kernel.session(*known.session)
        return session is None or session.freed or session.connection != known.id or self._kernel.totals(known.id) is None

    def _give_up(self, known: Known, now_ns: int) -> Iterator[Captured]:
        if known.socket is not None:
            self._by_socket.pop(known.socket, None)
            known.socket = None
            if not _process_exists(known):
                yield self._end(known, now_ns, now_ns)
            else:
                self.evicted += 1  # the kernel's map of sockets was full; the connection's end will not be seen
            return
        session = self._kernel.session(*known.session)
        if _process_exists(known) and (session is None or not session.freed) and self._kernel.totals(known.id) is None:
            self.evicted += 1
        self._forget(known)

    def _forget(self, known: Known) -> None:
        self.by_id.pop(known.id, None)
        self._forget_in_kernel(known)

    def _forget_in_kernel(self, known: Known) -> None:
        self._kernel.forget_connection(known.id)
        session = self._kernel.session(*known.session)
        if session and session.connection == known.id:
            self._kernel.forget_session(*known.session)


def _process_exists(known: Known) -> bool:
    return Path(f"/proc/{known.session[0]}").exists()
