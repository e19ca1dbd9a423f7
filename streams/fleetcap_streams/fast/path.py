"""Asks the native module to take what it can of a record, and brings the connection to where the engine would have.

It owns which connections may be asked about and what is remembered of each; the native module owns which bytes are plain. It
must not decide anything: what is not taken, the engine does.
"""

from typing import Any, Final, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError

from fleetcap_proto.v1 import exchange_pb2, raw_pb2
from fleetcap_streams.engine.connection import Connection, Moved
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import ConnectionInfo, EncodedOut
from fleetcap_streams.outputs.wire import Wire
from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.contract import Direction, Message, Role
from fleetcap_streams.protocols.http1.open_message import NAME
from fleetcap_streams.protocols.http1.parser import Http1Parser

_REMEMBERED: Final = 16_384  # connections; all are forgotten at once beyond it
_MOST_WAITING: Final = 64  # requests on their way that the native module follows
_EVENTS: Final = 0x2A  # RawBatch.events; what matters of a batch stands before them
_COUNT: Final = 0x18  # RawBatch.event_count: another one in each record
_PROTOCOL: Final = exchange_pb2.Message(protocol=NAME).SerializeToString()
_DIRECTIONS: Final = (Direction.RECEIVED, Direction.SENT)

Side: TypeAlias = tuple[bytes, bytes, int, bytes]


class _Known(NamedTuple):
    """What does not change from record to record of a connection; `moved` is by whom its bytes were moved last."""

    info: ConnectionInfo
    moved: tuple[Moved, Moved]
    expected: bytes
    sides: tuple[Side, Side]
    exchange: tuple[bytes, bytes, bytes]


class Taken(NamedTuple):
    """So many of the record's events, from its first on, need nothing more once this is applied."""

    until: int
    events: int  # in the record
    output: EncodedOut
    counters: tuple[int, int, int, int]
    sides: tuple[tuple[int, int, int, int], tuple[int, int, int, int]]


class FastPath:
    """For all connections of one partition. `native` is the compiled module."""

    def __init__(self, native: Any, limits: EngineLimits) -> None:
        self._take = native.take
        self._idle_ns = limits.idle_timeout_ms * 1_000_000
        self._body = limits.parser.body
        self._allowed = limits.parser.pending >= _MOST_WAITING
        self._known: dict[str, _Known] = {}
        self._wire = Wire()

    def take(self, connection: Connection, value: bytes, start: int) -> Taken | None:
        """Try a record of this connection from one of its events on; nothing is changed. None: nothing can be taken."""
        if not self._allowed or _parser(connection) is None:
            return None
        known = self._of(connection, value)
        if known is None:
            return None
        received, sent = connection.streams
        numbers = (
            received.next,
            sent.next,
            known.moved[0][0],
            known.moved[1][0],
            connection.last_ns,
            self._idle_ns,
            self._body,
            connection.message_count,
            connection.exchange_count,
        )
        found = self._take(value, start, known.expected, *known.sides, known.exchange, numbers, sha256.digest)
        if found is None:
            return None
        count, (until, events, exchanges, counters, sides) = found
        return Taken(until, count, EncodedOut(known.info, events, exchanges), counters, sides)

    def apply(self, connection: Connection, taken: Taken) -> None:
        """Let a connection go on behind what was taken."""
        parser = _parser(connection)
        assert parser is not None  # noqa: S101 - it was there when this was taken
        messages, exchanges, asked, last_ns = taken.counters
        connection.message_count = messages
        connection.segment_exchanges += exchanges - connection.exchange_count
        connection.exchange_count = exchanges
        connection.last_ns = last_ns
        connection.spoken = True
        for stream, (position, size, count, _) in zip(connection.streams, taken.sides, strict=True):
            stream.next = position
            stream.totals.bytes += size
            stream.totals.messages += count
        parser.skip_whole(asked, (taken.sides[0][3], taken.sides[1][3]))

    def _of(self, connection: Connection, value: bytes) -> _Known | None:
        info, (received, sent) = connection.info, connection.threads
        if not received or not sent:
            return None
        moved = received[-1], sent[-1]
        known = self._known.get(info.uuid)
        if known is not None and known.info is info and known.moved == moved:
            return known
        expected = _expected(info, value)
        if expected is None:
            return None
        known = self._learn(info, moved, expected)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[info.uuid] = known
        return known

    def _learn(self, info: ConnectionInfo, moved: tuple[Moved, Moved], expected: bytes) -> _Known:
        sides: list[Side] = []
        for direction, (_, (tid, comm)) in zip(_DIRECTIONS, moved, strict=True):
            message = Message(NAME, direction, Role.REQUEST, 0, 0, 0, tid=tid, comm=comm)
            sides.append((*self._wire.event_parts(info, message), tid, comm.encode()))
        return _Known(info, moved, expected, (sides[0], sides[1]), (*self._wire.exchange_parts(info, NAME), _PROTOCOL))


def _parser(connection: Connection) -> Http1Parser | None:
    """The connection's HTTP/1 parser, where nothing is under way anywhere in the connection."""
    if connection.parser is None or connection.exchanges is None or connection.exchanges.open:
        return None
    if connection.streams[0].waiting or connection.streams[1].waiting:
        return None
    parser = connection.parser.in_charge()
    return parser if isinstance(parser, Http1Parser) and parser.at_rest() else None


def _expected(info: ConnectionInfo, value: bytes) -> bytes | None:
    """What stands before a record's events, without their number, if that says of this connection only what is known."""
    head = _before_events(value)
    if head is None:
        return None
    try:
        batch = raw_pb2.RawBatch.FromString(head)
    except DecodeError:
        return None
    connection = batch.connection
    same = connection.uuid == info.uuid and connection.revision <= info.revision and not batch.HasField("tick")
    return head if same else None


def _before_events(value: bytes) -> bytes | None:
    parts, at, size = [], 0, len(value)
    while at < size and value[at] != _EVENTS:
        begin = at
        number, at = _varint(value, at + 1)
        if value[begin] == _COUNT:
            continue
        if value[begin] & 7 != 2:
            return None
        at += number
        parts.append(value[begin:at])
    return b"".join(parts) if at < size else None


def _varint(value: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(value):
        byte = value[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return number, at
