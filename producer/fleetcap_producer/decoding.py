"""From records in the ring buffer to captured events. Hot: runs once for each event, so it does as little as it can."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from fleetcap_producer.captured import Captured
from fleetcap_producer.clock import WallClock
from fleetcap_producer.records import DATA, KIND_CLOSED, KIND_CONNECTION, KIND_DATA, closed, described, text
from fleetcap_producer.table import Connections
from fleetcap_proto.v1 import raw_pb2

_DATA_SIZE = DATA.size
_EVENT_DATA = raw_pb2.EVENT_KIND_DATA

# A machine has few thread names; a program that makes them up must not fill our memory.
_MOST_NAMES = 4096


# Reads the record of a finished fact that begins in the data at an offset; by the record's kind.
Facts = Callable[[memoryview, int], Iterable[Captured]]


class Decoder:
    """Turns records into events, in their order."""

    def __init__(self, connections: Connections, clock: WallClock, facts: Mapping[int, Facts] | None = None) -> None:
        self._facts = facts or {}
        self._connections = connections
        self._clock = clock
        self._names: dict[bytes, str] = {}
        self.unknown = 0  # events of connections that were forgotten

    def decode(self, data: memoryview, at: Sequence[int], now_ns: int, to: list[Captured]) -> None:
        """Append the events of the records that begin in `data` at each of `at`."""
        by_id, names, offset = self._connections.by_id, self._names, self._clock.offset_ns
        unpack, make, captured_type, append = DATA.unpack_from, tuple.__new__, Captured, to.append
        for start in at:
            kind, direction, connection_id, time, position, length, captured, tid, comm = unpack(data, start)
            if kind != KIND_DATA:
                self._other(kind, data, start, now_ns, to)
                continue
            known = by_id.get(connection_id)
            if known is None:
                self.unknown += 1
                self._connections.unknown(connection_id)
                continue
            name = names.get(comm)
            if name is None:
                name = self._learn(comm)
            begin = start + _DATA_SIZE
            # tuple.__new__ makes a NamedTuple in half the time of its own constructor.
            append(
                make(
                    captured_type,
                    (
                        known.connection,
                        _EVENT_DATA,
                        time + offset,
                        direction,
                        position,
                        bytes(data[begin : begin + captured]),
                        0 if length == captured else length,
                        0 if tid == known.tid else tid,
                        "" if name == known.comm else name,
                        None,
                        None,
                    ),
                )
            )

    def _other(self, kind: int, data: memoryview, start: int, now_ns: int, to: list[Captured]) -> None:
        if kind == KIND_CONNECTION:
            to.extend(self._connections.described(described(data, start)))
        elif kind == KIND_CLOSED:
            to.extend(self._connections.closed(closed(data, start), now_ns))
        elif read := self._facts.get(kind):
            to.extend(read(data, start))

    def _learn(self, comm: bytes) -> str:
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        name = self._names[comm] = text(comm)
        return name
