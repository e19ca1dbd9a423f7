"""From an IP packet to the TCP segment or UDP datagram in it: IPv4 and IPv6, fragments put together.

dpkt reads the headers of IPv4, TCP and UDP. Its IPv6 takes later fragments for segments wherever another extension header
stands before the fragment's, so the chain of those is walked here (RFC 8200 section 4).
"""

from typing import Final, NamedTuple

from dpkt.dpkt import UnpackError
from dpkt.ip import (
    IP,
    IP_PROTO_AH,
    IP_PROTO_DSTOPTS,
    IP_PROTO_FRAGMENT,
    IP_PROTO_HOPOPTS,
    IP_PROTO_ROUTING,
    IP_PROTO_TCP,
    IP_PROTO_UDP,
)
from dpkt.tcp import TCP
from dpkt.udp import UDP

_WANTED: Final = frozenset({IP_PROTO_TCP, IP_PROTO_UDP})
# Mobility, HIP and shim6 have the same form as the older three (RFC 6564 section 4).
_EXTENSIONS: Final = frozenset({IP_PROTO_HOPOPTS, IP_PROTO_ROUTING, IP_PROTO_DSTOPTS, 135, 139, 140})
_IP6_HEADER = 40
_MOST_EXTENSIONS = 16
_MOST_DATAGRAMS: Final = 256  # being put together; 64 KiB each at the most
_MOST_FRAGMENTS = 8192 // 2  # of one datagram: 64 KiB in pieces of 16 bytes
_FRAGMENT_LIFE_NS: Final = 60_000_000_000  # RFC 8200 section 4.5


class Segment(NamedTuple):
    """A TCP segment, or a UDP datagram (`flags` None). `length` is the payload's true size, of which less may be captured."""

    time_ns: int
    source: tuple[bytes, int]  # address, port
    destination: tuple[bytes, int]
    sequence: int
    acknowledged: int
    flags: int | None
    payload: bytes
    length: int


class _Carried(NamedTuple):
    """What an IP packet carries: `data` may be cut, `length` is its true size. Of fragments: units of 8 bytes, and an id."""

    source: bytes
    destination: bytes
    protocol: int
    data: bytes
    length: int
    offset: int = 0
    more: bool = False
    identity: int | None = None


class _Datagram:
    """Fragments of one datagram; `size` is known when the last of them has come."""

    __slots__ = ("parts", "since_ns", "size")

    def __init__(self, since_ns: int) -> None:
        self.parts: dict[int, bytes] = {}
        self.since_ns = since_ns
        self.size: int | None = None

    def whole(self) -> bytes | None:
        if self.size is None:
            return None
        data = bytearray()
        for start in sorted(self.parts):
            if start > len(data):
                return None
            data += self.parts[start][len(data) - start :]
        return bytes(data[: self.size]) if len(data) >= self.size else None


class IpReader:
    """Reads IP packets one after the other; holds fragments, within bounds, until the others come."""

    def __init__(self) -> None:
        self._datagrams: dict[tuple[bytes, bytes, int, int], _Datagram] = {}

    def segment(self, packet: bytes, missing: int, time_ns: int) -> Segment | None:
        """What a packet carries, or None: it is neither TCP nor UDP, a fragment, or broken. `missing` bytes of it were cut."""
        version = packet[0] >> 4
        carried = _ip4(packet, missing) if version == 4 else _ip6(packet, missing) if version == 6 else None
        if carried is None or carried.protocol not in _WANTED:
            return None
        if carried.identity is not None:
            data = self._together(carried, carried.identity, time_ns)
            if data is None:
                return None
            carried = carried._replace(data=data, length=len(data))
        return _transport(carried, time_ns)

    def _together(self, part: _Carried, identity: int, time_ns: int) -> bytes | None:
        key = (part.source, part.destination, part.protocol, identity)
        found = self._datagrams.get(key)
        if found is None or time_ns - found.since_ns > _FRAGMENT_LIFE_NS:
            self._datagrams.pop(key, None)
            if len(self._datagrams) >= _MOST_DATAGRAMS:
                del self._datagrams[next(iter(self._datagrams))]
            found = self._datagrams[key] = _Datagram(time_ns)
        start = part.offset * 8
        if len(part.data) < part.length or len(found.parts) >= _MOST_FRAGMENTS:
            return None  # cut, so this datagram will never be whole
        found.parts.setdefault(start, part.data)
        if not part.more:
            found.size = start + len(part.data)
        data = found.whole()
        if data is not None:
            del self._datagrams[key]
        return data


def _ip4(packet: bytes, missing: int) -> _Carried | None:
    if len(packet) < 20 or packet[9] not in _WANTED:
        return None
    header = (packet[0] & 0x0F) * 4
    try:
        ip = IP(packet[:header])
    except UnpackError:
        return None
    # A length of 0 is what a kernel leaves to the network card where that cuts segments.
    size = ip.len or len(packet) + missing
    data = packet[header:size]
    identity = ip.id if ip.mf or ip.offset else None
    return _Carried(ip.src, ip.dst, ip.p, data, max(size - header, 0), ip.offset, bool(ip.mf), identity)


def _ip6(packet: bytes, missing: int) -> _Carried | None:
    if len(packet) < _IP6_HEADER:
        return None
    kind, place = packet[6], _IP6_HEADER
    size = _IP6_HEADER + (int.from_bytes(packet[4:6]) or len(packet) + missing - _IP6_HEADER)
    offset, more, identity = 0, False, None
    for _ in range(_MOST_EXTENSIONS):
        head = packet[place : place + 8]
        if kind in _WANTED:
            data = packet[place:size]
            return _Carried(packet[8:24], packet[24:40], kind, data, max(size - place, 0), offset, more, identity)
        if len(head) < 8:
            return None
        if kind == IP_PROTO_FRAGMENT:
            word = int.from_bytes(head[2:4])
            offset, more = word >> 3, bool(word & 1)
            # One that is all of its datagram is no fragment in effect (RFC 6946).
            identity = int.from_bytes(head[4:8]) if offset or more else None
            place += 8
            if offset and head[0] in _EXTENSIONS:
                return None  # what follows is the middle of another header, not one
        elif kind == IP_PROTO_AH:
            place += (head[1] + 2) * 4
        elif kind in _EXTENSIONS:
            place += (head[1] + 1) * 8
        else:
            return None
        kind = head[0]
    return None


def _transport(carried: _Carried, time_ns: int) -> Segment | None:
    data = carried.data
    try:
        if carried.protocol == IP_PROTO_UDP:
            udp = UDP(data)
            return Segment(
                time_ns,
                (carried.source, udp.sport),
                (carried.destination, udp.dport),
                0,
                0,
                None,
                udp.data,
                max(carried.length - 8, 0),
            )
        tcp = TCP(data)
    except UnpackError:
        return None
    length = max(carried.length - tcp.off * 4, 0)
    return Segment(
        time_ns,
        (carried.source, tcp.sport),
        (carried.destination, tcp.dport),
        tcp.seq,
        tcp.ack,
        tcp.flags,
        tcp.data,
        length,
    )
