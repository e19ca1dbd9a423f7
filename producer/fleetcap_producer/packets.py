"""Which packets belong to captured connections: held back until that is known, and then named after their processes.

A connection's handshake has passed before the tap knows of the connection, and its keys, which have to come first in a
file, are known last. So every flow is held for a while; those that turn out to be captured are given out whole.
It must not know where packets come from nor how they are written.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fleetcap_producer.sniffing import End, Packet
from fleetcap_proto.v1 import common_pb2

_HOLD_NS = 10_000_000_000  # a handshake may wait for a slow peer
_AFTER_NS = 5_000_000_000  # for the packets that end a connection
_MOST_HELD = 64 << 20  # bytes, of all flows
_MOST_OF_FLOW = 256 << 10  # bytes; a handshake takes some 5,000

Flow = tuple[End, End]


@dataclass(slots=True)
class _Held:
    since_ns: int
    packets: list[Packet] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Wanted:
    names: list[str]
    closed_ns: int = 0  # 0 while open


class Flows:
    """All flows. Times are those of packets."""

    def __init__(self) -> None:
        self._held: OrderedDict[Flow, _Held] = OrderedDict()
        self._wanted: dict[Flow, _Wanted] = {}
        self._size = 0
        self.connections = 0
        self.given_up = 0  # packets of flows that may have been wanted, for which there was no room

    def packet(self, packet: Packet) -> Iterator[tuple[Packet, str]]:
        """Take a packet; give it, with its comment, if it is known to be wanted."""
        flow = _flow(packet.source, packet.destination)
        wanted = self._wanted.get(flow)
        if wanted and wanted.closed_ns and packet.begins:
            del self._wanted[flow]
            wanted = None
        if wanted:
            yield packet, "; ".join(wanted.names)
        else:
            self._hold(flow, packet)

    def _hold(self, flow: Flow, packet: Packet) -> None:
        held = self._held.get(flow)
        if held is not None and packet.begins and len(held.packets) > 1:
            self._drop(flow)
            held = None
        if held is None:
            held = self._held[flow] = _Held(packet.time_ns)
        if held.size + len(packet.data) > _MOST_OF_FLOW:
            self.given_up += 1
            return
        held.packets.append(packet)
        held.size += len(packet.data)
        self._size += len(packet.data)
        while self._size > _MOST_HELD:
            self.given_up += self._drop(next(iter(self._held)))

    def _drop(self, flow: Flow) -> int:
        held = self._held.pop(flow)
        self._size -= held.size
        return len(held.packets)

    def known(self, connection: common_pb2.Connection) -> Iterator[tuple[Packet, str]]:
        """A connection is captured: gives what was held of it. It may be told again, and of each of its ends."""
        flow = flow_of(connection)
        if flow is None:
            return
        name = f"{connection.process.comm} (pid {connection.process.pid})"
        wanted = self._wanted.setdefault(flow, _Wanted([]))
        if name in wanted.names:
            return
        wanted.names.append(name)
        wanted.closed_ns = 0
        self.connections += 1
        if flow in self._held:
            packets = self._held[flow].packets
            self._drop(flow)
            yield from ((packet, name) for packet in packets)

    def closed(self, connection: common_pb2.Connection, now_ns: int) -> None:
        """A connection is over; its last packets may still come."""
        flow = flow_of(connection)
        if flow in self._wanted:
            self._wanted[flow].closed_ns = now_ns

    def forget(self, now_ns: int) -> None:
        """Lets go of flows that nobody wanted, and of connections that ended long ago; to be called now and then."""
        while self._held and now_ns - next(iter(self._held.values())).since_ns > _HOLD_NS:
            self._drop(next(iter(self._held)))
        for flow, wanted in list(self._wanted.items()):
            if wanted.closed_ns and now_ns - wanted.closed_ns > _AFTER_NS:
                del self._wanted[flow]


def _flow(one: End, other: End) -> Flow:
    return (one, other) if one <= other else (other, one)


def flow_of(connection: common_pb2.Connection) -> Flow | None:
    """The flow of a connection; None where its addresses are not known."""
    if not connection.local.ip or not connection.remote.ip:
        return None
    ends = [End(ipaddress.ip_address(end.ip).packed, end.port) for end in (connection.local, connection.remote)]
    return _flow(*ends)
