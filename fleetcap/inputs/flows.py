"""Follows TCP connections in a capture of packets: segments in, raw events of connections out.

There is no captured process, so a connection is shown as its client saw it: what the client sent is `sent`. Who is the client is
told by the handshake; where that was not captured, by the ports; where these do not tell either, nobody is, and the side that
was seen first stands in the client's place without the name.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from dpkt.tcp import TH_ACK, TH_FIN, TH_RST, TH_SYN

from fleetcap.inputs.ip import Segment
from fleetcap.inputs.tcp import HalfStream, Piece
from fleetcap_producer.captured import Captured
from fleetcap_producer.identity import base36
from fleetcap_proto.v1 import common_pb2, raw_pb2

Endpoint = tuple[bytes, int]
Key = tuple[Endpoint, Endpoint]

RECEIVED, SENT = common_pb2.DIRECTION_RECEIVED, common_pb2.DIRECTION_SENT
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
# Beyond it the one that has been quiet for longest is ended; a table of so many takes some 200 MB.
MOST_FLOWS: Final = 100_000
_MOST_WAITING_BYTES: Final = 256 * 1024 * 1024  # of all connections together
_PRIVILEGED: Final = 1024
_EPHEMERAL: Final = 32_768  # where Linux begins to choose clients' ports; others choose from above it
_SERVICES: Final = frozenset({1433, 1521, 3306, 4222, 5432, 5671, 5672, 6379, 8000, 8080, 8443, 9092, 11211, 27017})
_RESET_WINDOW = 1 << 20  # bytes beyond what was seen where a reset may stand and be believed (RFC 5961 section 3.2)


class Peers(NamedTuple):
    """The two ends, and what the first of them is."""

    local: Endpoint
    remote: Endpoint
    role: common_pb2.Role


def by_ports(first: Endpoint, other: Endpoint) -> Peers:
    """The two ends, client first, as far as ports tell; where they do not, in the order given and without a role."""
    marks = [(port in _SERVICES or port < _PRIVILEGED, port < _EPHEMERAL) for _, port in (first, other)]
    if marks[0] == marks[1]:
        return Peers(first, other, common_pb2.ROLE_UNSPECIFIED)
    return Peers(*((other, first) if marks[0] > marks[1] else (first, other)), common_pb2.ROLE_CLIENT)


def describe(node: str, kind: str, number: int, since_ns: int, peers: Peers) -> common_pb2.Connection:
    """The schema's form of a connection; `number` counts those of the input."""
    (local, local_port), (remote, remote_port), role = peers
    names = [str(ipaddress.ip_address(address)) for address in (local, remote)]
    where = ".".join(f"{_UNSAFE.sub('-', name)}.{port}" for name, port in zip(names, (local_port, remote_port), strict=True))
    return common_pb2.Connection(
        uuid=f"{_UNSAFE.sub('-', node)}.{kind}.{where}.{base36(since_ns)}.{base36(number)}",
        local=common_pb2.Endpoint(ip=names[0], port=local_port),
        remote=common_pb2.Endpoint(ip=names[1], port=remote_port),
        role=role,
        source=common_pb2.SOURCE_PACKETS,
    )


class _Flow:
    """One connection; `halves` are what its local end received and sent."""

    __slots__ = ("closed", "connection", "counted", "halves", "number", "opened", "peers", "since_ns", "synchronized")

    def __init__(self, number: int, peers: Peers, since_ns: int) -> None:
        self.number = number
        self.peers = peers
        self.since_ns = since_ns
        self.synchronized = False  # its handshake was seen
        self.opened = False
        self.closed = False
        self.connection = common_pb2.Connection()
        self.counted = 0
        self.halves = (HalfStream(), HalfStream())

    def way(self, segment: Segment) -> int:
        """The direction of a segment."""
        return SENT if segment.source == self.peers.local else RECEIVED

    def waiting(self) -> int:
        """Bytes of it that wait behind holes."""
        return self.halves[0].waiting_bytes + self.halves[1].waiting_bytes


class Flows:
    """All connections of a capture. `node` names what was captured, in their identities."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._flows: dict[Key, _Flow] = {}  # the longest quiet first
        self._count = 0
        self._waiting = 0  # bytes behind holes

    def __len__(self) -> int:
        return len(self._flows)

    def take(self, segment: Segment) -> list[Captured]:
        """Take a TCP segment and return what it led to, in order."""
        out: list[Captured] = []
        key = _key(segment)
        flow = self._flows.pop(key, None)
        flow = self._of(segment, flow, out)
        self._flows[key] = flow
        if len(self._flows) > MOST_FLOWS:
            self._end(self._flows.pop(next(iter(self._flows))), segment.time_ns, out)
        if not flow.closed:
            self._follow(flow, segment, out)
            self._count_waiting(flow, segment.time_ns, out)
        return out

    def finish(self, time_ns: int) -> list[Captured]:
        """The capture is over: give what waited. Connections of which no end was seen stay open."""
        out: list[Captured] = []
        for flow in self._flows.values():
            self._end(flow, time_ns, out)
        self._flows.clear()
        return out

    def _of(self, segment: Segment, flow: _Flow | None, out: list[Captured]) -> _Flow:
        """The connection that a segment belongs to; a handshake with other numbers begins a new one."""
        flags = segment.flags or 0
        if flow is not None and not (flags & TH_SYN and _is_new(flow, segment)):
            return flow
        if flow is not None:
            self._end(flow, segment.time_ns, out)
        self._count += 1
        peers = by_ports(segment.source, segment.destination)
        if flags & TH_SYN and flags & TH_ACK:
            peers = Peers(segment.destination, segment.source, common_pb2.ROLE_CLIENT)
        elif flags & TH_SYN:
            peers = Peers(segment.source, segment.destination, common_pb2.ROLE_CLIENT)
        return _Flow(self._count, peers, segment.time_ns)

    def _follow(self, flow: _Flow, segment: Segment, out: list[Captured]) -> None:
        flags = segment.flags or 0
        way = flow.way(segment)
        mine, other = flow.halves[way], flow.halves[1 - way]
        first = (segment.sequence + (1 if flags & TH_SYN else 0)) & 0xFFFFFFFF
        flow.synchronized = flow.synchronized or bool(flags & TH_SYN)
        if not mine.begun and not flags & TH_RST:
            mine.begin(first)
        if flags & TH_ACK:
            if not other.begun:
                other.begin(segment.acknowledged)
            answered = segment.length > 0
            self._give(flow, 1 - way, other.acknowledge(segment.acknowledged, segment.time_ns, answered=answered), out)
        if flags & TH_SYN and flags & TH_ACK:
            self._open(flow, segment.time_ns, out)
        if flags & TH_RST:
            if not mine.begun or -1 <= mine.distance(segment.sequence) <= _RESET_WINDOW:
                self._end(flow, segment.time_ns, out, seen=True)
            return  # what it carries is a reason for people (RFC 9293 section 3.5.2), no data
        if segment.length:
            self._give(flow, way, mine.accept(first, segment.payload, segment.length, segment.time_ns), out)
        if flags & TH_FIN:
            mine.end(first + segment.length)
        if mine.done and other.done:
            self._end(flow, segment.time_ns, out)

    def _count_waiting(self, flow: _Flow, time_ns: int, out: list[Captured]) -> None:
        """Keep the sum of what waits behind holes within bounds, at the cost of whoever goes over them."""
        self._waiting += flow.waiting() - flow.counted
        flow.counted = flow.waiting()
        if self._waiting > _MOST_WAITING_BYTES and flow.counted:
            for way in (SENT, RECEIVED):
                self._give(flow, way, flow.halves[way].flush(time_ns), out)
            self._count_waiting(flow, time_ns, out)

    def _give(self, flow: _Flow, way: int, pieces: Iterable[Piece], out: list[Captured]) -> None:
        for position, payload, length, time_ns in pieces:
            if not flow.opened:
                self._open(flow, flow.since_ns, out)
            known = 0 if length == len(payload) else length
            out.append(Captured(flow.connection, raw_pb2.EVENT_KIND_DATA, time_ns, way, position, payload, known))

    def _open(self, flow: _Flow, time_ns: int, out: list[Captured]) -> None:
        if flow.opened:
            return
        flow.opened = True
        connection = flow.connection = describe(self._node, "tcp", flow.number, flow.since_ns, flow.peers)
        connection.joined = not flow.synchronized
        # No kernel's address, but this is a socket whose end can be seen, which is what the field tells the engine.
        connection.sock = flow.number
        out.append(Captured(flow.connection, raw_pb2.EVENT_KIND_OPENED, time_ns))

    def _end(self, flow: _Flow, time_ns: int, out: list[Captured], *, seen: bool = False) -> None:
        """Give what waited; where an end of the connection was `seen`, or half of one, tell it."""
        if flow.closed:
            return
        flow.closed = True
        received, sent = flow.halves
        seen = seen or received.done or sent.done
        for way in (SENT, RECEIVED):
            self._give(flow, way, flow.halves[way].flush(time_ns), out)
        self._count_waiting(flow, time_ns, out)
        if flow.opened and (seen or received.done or sent.done):
            closed = Captured(flow.connection, raw_pb2.EVENT_KIND_CLOSED, time_ns)
            out.append(closed._replace(received_total=received.position, sent_total=sent.position))


def _key(segment: Segment) -> Key:
    one, other = segment.source, segment.destination
    return (one, other) if one <= other else (other, one)


def _is_new(flow: _Flow, segment: Segment) -> bool:
    """Whether a SYN begins another connection of the same ports, rather than being sent again."""
    if flow.closed:
        return True
    half = flow.halves[flow.way(segment)]
    return half.begun and half.distance(segment.sequence + 1) + half.position != 0
