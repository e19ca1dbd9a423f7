"""Packing: events of one connection that come within some milliseconds of each other become one `RawBatch`.

It owns when a record is cut and how it is laid out on the wire. It must not know where events come from, where records go,
or what time it is: the caller says.

A serialized message may be put together from serialized parts (protobuf, "Encoding": a parser takes the fields of a message
in any order, one after the other). So the parts that seldom change, the node and the connection, are serialized once, and an
event costs a few table look-ups and no message object. Parts stand in the order of their numbers, so the result is, byte
for byte, what the generated classes would write; a test holds the two together.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Final, NamedTuple, cast

from fleetcap_producer.captured import Captured
from fleetcap_proto.v1 import common_pb2, raw_pb2

_DATA: Final = raw_pb2.EVENT_KIND_DATA
_CLOSED: Final = raw_pb2.EVENT_KIND_CLOSED
_ACTIVITY: Final = raw_pb2.EVENT_KIND_ACTIVITY
_FACTS: Final = frozenset({_ACTIVITY, raw_pb2.EVENT_KIND_KEY})

# Kafka takes records of up to 1 MiB unless told otherwise; what one holds besides its events is a small part of the rest.
LARGEST_TARGET_BYTES: Final = 768 * 1024
# Connections whose serialized form is remembered. All of it is forgotten at once beyond that: a rare, cheap loss.
_REMEMBERED: Final = 65_536


@dataclass(frozen=True, slots=True)
class PackerOptions:
    """When a record is cut: after `linger_s` seconds, or when it would be over `target_bytes`, or has `max_events`."""

    linger_s: float = 0.010
    target_bytes: int = 256 * 1024
    max_events: int = 2048

    def __post_init__(self) -> None:
        if not 1024 <= self.target_bytes <= LARGEST_TARGET_BYTES:
            raise ValueError(f"target_bytes is {self.target_bytes}; give 1024 to {LARGEST_TARGET_BYTES}")
        if self.max_events < 1:
            raise ValueError(f"max_events is {self.max_events}; give at least 1")
        if self.linger_s < 0:
            raise ValueError(f"linger_s is {self.linger_s}; give 0 or more seconds")


class Packed(NamedTuple):
    """One record for the raw topic: connection UUID, `RawBatch`, and how many events are in it.

    The key of facts that belong to no connection is the node's name.
    """

    key: bytes
    value: bytes
    events: int


class _Open:
    """A record that is being filled; `parts[0]` is kept free for what stands before the events."""

    __slots__ = ("comm", "connection", "count", "opened_s", "parts", "size", "tid")

    def __init__(self, connection: common_pb2.Connection, opened_s: float) -> None:
        self.connection = connection
        self.opened_s = opened_s
        self.parts = [b""]
        self.size = 0
        self.count = 0
        self.tid = connection.tid
        self.comm = connection.process.comm


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


# Two varint bytes hold 14 bits, and nearly every length and position is a few of those.
_BITS = 14
_TABLE = 1 << _BITS
_MASK = _TABLE - 1
_LAST: Final = [_varint(number) for number in range(_TABLE)]
_MORE: Final = [bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_TABLE)]
# RawEvent.payload and RawBatch.events happen to have the same number and so the same tag. Absent where empty.
_BYTES_5: Final = [b"\x2a" + length for length in _LAST]
_POSITION: Final = [b"", *(b"\x20" + position for position in _LAST[1:])]
_PAYLOAD: Final = [b"", *_BYTES_5[1:]]

# RawEvent.kind, timestamp_ns and, where it is not 0, direction.
_RECEIVED = Struct("<BBBQ").pack
_SENT = Struct("<BBBQBB").pack


def _long_varint(number: int) -> bytes:
    out = b""
    while number >= _TABLE:
        out += _MORE[number & _MASK]
        number >>= _BITS
    return out + _LAST[number]


@lru_cache(maxsize=4096)
def _rest(length: int, tid: int, comm: str) -> bytes:
    """The fields of a DATA event after its payload. Few threads make most events, hence the cache."""
    return raw_pb2.RawEvent(length=length, tid=tid, comm=comm).SerializeToString()


def _fact(event: Captured, tid: int, comm: str) -> bytes:
    raw = raw_pb2.RawEvent(kind=cast("raw_pb2.EventKind", event.kind), timestamp_ns=event.timestamp_ns, tid=tid, comm=comm)
    if event.kind == _ACTIVITY:
        raw.activity.ParseFromString(event.payload)
    else:
        raw.key.ParseFromString(event.payload)
    return raw.SerializeToString()


def _other_event(event: Captured, tid: int, comm: str) -> bytes:
    if event.kind in _FACTS:
        return _fact(event, tid, comm)
    closed = None
    if event.kind == _CLOSED and not (event.received_total is None and event.sent_total is None):
        closed = raw_pb2.Closed(received_bytes=event.received_total, sent_bytes=event.sent_total)
    return raw_pb2.RawEvent(
        kind=cast("raw_pb2.EventKind", event.kind),
        timestamp_ns=event.timestamp_ns,
        direction=cast("common_pb2.Direction", event.direction),
        position=event.position,
        payload=event.payload,
        length=event.length,
        tid=tid,
        comm=comm,
        closed=closed,
    ).SerializeToString()


def _split(event: Captured, size: int) -> Iterator[Captured]:
    """The same bytes as events of at most `size` each; what is known to be missing stays behind the last of them."""
    payload, true_length = event.payload, event.length
    for begin in range(0, len(payload), size):
        piece = payload[begin : begin + size]
        last = begin + size >= len(payload)
        length = true_length - begin if last and true_length else 0
        yield event._replace(position=event.position + begin, payload=piece, length=length)


class Packer:
    """All records that are being filled, oldest first. Order within a connection is kept; among connections there is none.

    Times are seconds of any clock that only goes forward, the same for all calls.
    """

    def __init__(self, node_id: str, boot_id: str, options: PackerOptions | None = None) -> None:
        self._options = options or PackerOptions()
        self._node_id = node_id.encode()
        self._node = raw_pb2.RawBatch(node_id=node_id, boot_id=boot_id).SerializeToString()
        # A dict keeps the order of opening, and all records linger equally long: the first is always the next one due.
        self._open: dict[str, _Open] = {}
        self._connections: dict[str, tuple[int, bytes]] = {}
        self.events = 0
        self.payload_bytes = 0

    def add(self, events: Iterable[Captured], now_s: float) -> list[Packed]:
        """Take what was captured, in order, and return the records that became full."""
        cut: list[Packed] = []
        opened = self._open
        target, most = self._options.target_bytes, self._options.max_events
        total = count = 0
        for event in events:
            if len(event.payload) > target:
                cut += self.add(_split(event, target), now_s)
                continue
            uuid = event.connection.uuid
            state = opened.get(uuid)
            if state is None:
                state = opened[uuid] = _Open(event.connection, now_s)
            tid = 0 if event.tid == state.tid else event.tid
            comm = "" if event.comm == state.comm else event.comm
            parts, size = _encode(event, tid, comm)
            if state.size + size > target and state.count:
                cut.append(self._cut(uuid))
                state = opened[uuid] = _Open(event.connection, now_s)
            state.parts += parts
            state.size += size
            state.count += 1
            count += 1
            total += len(event.payload)
            if state.count >= most or event.kind == _CLOSED:
                cut.append(self._cut(uuid))
                if event.kind == _CLOSED:
                    self._connections.pop(uuid, None)
        self.events += count
        self.payload_bytes += total
        return cut

    def due(self, now_s: float) -> list[Packed]:
        """Return the records that were open for as long as they may be."""
        before = now_s - self._options.linger_s
        due = []
        for uuid, state in self._open.items():
            if state.opened_s > before:
                break
            due.append(uuid)
        return [self._cut(uuid) for uuid in due]

    def wait_s(self, now_s: float) -> float | None:
        """How long until a record is due, None where none is open."""
        for state in self._open.values():
            return max(0.0, state.opened_s + self._options.linger_s - now_s)
        return None

    def flush(self) -> list[Packed]:
        """Return every open record."""
        return [self._cut(uuid) for uuid in list(self._open)]

    def _cut(self, uuid: str) -> Packed:
        state = self._open.pop(uuid)
        connection = state.connection
        if state.comm and connection.process.comm != state.comm:
            # Renamed while the record was open, whose events leave out the name that held when it was opened.
            field = _field(_named(connection, state.comm))
        else:
            field = self._connection(uuid, connection)
        state.parts[0] = self._node + b"\x18" + _long_varint(state.count) + field
        return Packed(uuid.encode() or self._node_id, b"".join(state.parts), state.count)

    def _connection(self, uuid: str, connection: common_pb2.Connection) -> bytes:
        """The connection's field; serialized again only when more became known about it."""
        revision = connection.revision
        known = self._connections.get(uuid)
        if known is not None and known[0] == revision:
            return known[1]
        if len(self._connections) >= _REMEMBERED:
            self._connections.clear()
        field = _field(connection) if uuid else b""
        self._connections[uuid] = (revision, field)
        return field


def _field(connection: common_pb2.Connection) -> bytes:
    """The connection as a field of its batch."""
    body = connection.SerializeToString(deterministic=True)
    return b"\x22" + _long_varint(len(body)) + body


def _named(connection: common_pb2.Connection, comm: str) -> common_pb2.Connection:
    copy = common_pb2.Connection()
    copy.CopyFrom(connection)
    copy.process.comm = comm
    return copy


def _encode(event: Captured, tid: int, comm: str) -> tuple[tuple[bytes, ...], int]:
    """The event as a field of its batch, in parts, and their size in bytes together."""
    if event.kind != _DATA:
        body = _other_event(event, tid, comm)
        size = len(body)
        head = _BYTES_5[size] if size < _TABLE else b"\x2a" + _long_varint(size)
        return (head, body), len(head) + size
    position, payload = event.position, event.payload
    known = len(payload)
    before = (
        (
            _SENT(0x08, _DATA, 0x11, event.timestamp_ns, 0x18, 1)
            if event.direction
            else _RECEIVED(0x08, _DATA, 0x11, event.timestamp_ns)
        )
        + (_POSITION[position] if position < _TABLE else b"\x20" + _long_varint(position))
        + (_PAYLOAD[known] if known < _TABLE else b"\x2a" + _long_varint(known))
    )
    after = _rest(event.length, tid, comm) if event.length or tid or comm else b""
    size = len(before) + known + len(after)
    head = _BYTES_5[size] if size < _TABLE else b"\x2a" + _long_varint(size)
    return (head, before, payload, after), len(head) + size
