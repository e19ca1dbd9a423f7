"""Builds packet captures in a test: segments, packets, frames and files, by dpkt's own serializers where it has them."""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dpkt.ip import IP
from dpkt.ip6 import IP6
from dpkt.tcp import TCP, TH_ACK, TH_FIN, TH_RST, TH_SYN

from fleetcap.inputs.frame import Frame

START_NS = 1_700_000_000_000_000_000
SYN, ACK, FIN, RST = TH_SYN, TH_ACK, TH_FIN, TH_RST
CLIENT, SERVER = "client", "server"
ETHERNET, NULL, RAW, SLL, LOOP, SLL2 = 1, 0, 101, 113, 108, 276


def tcp(source: int, destination: int, sequence: int, flags: int, payload: bytes = b"", acknowledged: int = 0) -> bytes:
    segment = TCP(
        sport=source, dport=destination, seq=sequence & 0xFFFFFFFF, ack=acknowledged & 0xFFFFFFFF, flags=flags, data=payload
    )
    return bytes(segment)


def ip4(source: str, destination: str, data: bytes, **fields: int) -> bytes:
    packet = IP(src=ipaddress.ip_address(source).packed, dst=ipaddress.ip_address(destination).packed, p=6, data=data)
    packet.len = 20 + len(data)
    for name, value in fields.items():
        setattr(packet, name, value)
    return bytes(packet)


def ip6(source: str, destination: str, data: bytes, *, next_header: int = 6) -> bytes:
    packet = IP6(src=ipaddress.ip_address(source).packed, dst=ipaddress.ip_address(destination).packed, nxt=next_header)
    return bytes(packet)[:4] + struct.pack(">HBB", len(data), next_header, 64) + bytes(packet)[8:40] + data


def on_link(link: int, packet: bytes, *, tags: Sequence[tuple[int, int]] = ()) -> bytes:
    """A frame of a link type; `tags` are VLAN tags as pairs of TPID and id, outermost first."""
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    types = [tpid for tpid, _ in tags] + [kind]
    tagged = b"".join(struct.pack(">HH", vlan, after) for (_, vlan), after in zip(tags, types[1:], strict=True))
    if link == ETHERNET:
        return b"\2\0\0\0\0\1\2\0\0\0\0\2" + struct.pack(">H", types[0]) + tagged + packet
    if link == SLL:
        return struct.pack(">HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1\0\0", types[0]) + tagged + packet
    if link == SLL2:
        return struct.pack(">HHIHBB8s", types[0], 0, 3, 1, 0, 6, b"\2\0\0\0\0\1\0\0") + tagged + packet
    if link == NULL:
        return struct.pack("<I", 30 if kind == 0x86DD else 2) + packet
    if link == LOOP:
        return struct.pack(">I", 30 if kind == 0x86DD else 2) + packet
    return packet


def pcap(frames: Iterable[Frame], *, order: str = "<", nanoseconds: bool = False, extended: bool = False) -> bytes:
    frames = list(frames)
    magic = 0xA1B2CD34 if extended else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, frames[0].link if frames else 1)
    for frame in frames:
        seconds, rest = divmod(frame.time_ns, 1_000_000_000)
        out += struct.pack(order + "IIII", seconds, rest if nanoseconds else rest // 1000, len(frame.data), frame.length)
        out += (b"\0" * 8 if extended else b"") + frame.data
    return out


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def pcapng(frames: Iterable[Frame], *, order: str = "<", resolution: int = 9, offset_s: int = 0) -> bytes:
    """One section with an interface for each link type; `resolution` is the byte of if_tsresol."""
    frames = list(frames)
    out = _block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    links = list(dict.fromkeys(frame.link for frame in frames))
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    for link in links:
        options = struct.pack(order + "HHBxxx", 9, 1, resolution) + struct.pack(order + "HHq", 14, 8, offset_s)
        out += _block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options + struct.pack(order + "HH", 0, 0))
    for frame in frames:
        count = (frame.time_ns - offset_s * 1_000_000_000) * units // 1_000_000_000
        head = links.index(frame.link), count >> 32, count & 0xFFFFFFFF, len(frame.data), frame.length
        out += _block(order, 6, struct.pack(order + "IIIII", *head) + frame.data)
        out += _block(order, 5, struct.pack(order + "III", 0, 0, 0))  # statistics, to be passed over
    return out


@dataclass
class Talk:
    """A TCP connection as it crosses a wire. Sequence numbers go on by themselves; each call adds one packet."""

    client: tuple[str, int] = ("192.0.2.1", 40000)
    server: tuple[str, int] = ("198.51.100.2", 80)
    client_next: int = 1000
    server_next: int = 5000
    link: int = ETHERNET
    frames: list[Frame] = field(default_factory=list)
    step_ns: int = 1_000_000

    def opened(self) -> "Talk":
        self._add(CLIENT, self.client_next, SYN)
        self.client_next += 1
        self._add(SERVER, self.server_next, SYN | ACK)
        self.server_next += 1
        return self._add(CLIENT, self.client_next, ACK)

    def asks(self, payload: bytes) -> "Talk":
        self._add(CLIENT, self.client_next, ACK, payload)
        self.client_next += len(payload)
        return self

    def answers(self, payload: bytes) -> "Talk":
        self._add(SERVER, self.server_next, ACK, payload)
        self.server_next += len(payload)
        return self

    def closed(self) -> "Talk":
        self._add(CLIENT, self.client_next, FIN | ACK)
        self.client_next += 1
        self._add(SERVER, self.server_next, FIN | ACK)
        self.server_next += 1
        return self._add(CLIENT, self.client_next, ACK)

    def reset(self) -> "Talk":
        return self._add(SERVER, self.server_next, RST | ACK)

    def segment(self, who: str, sequence: int, flags: int, payload: bytes = b"") -> "Talk":
        """Any segment of `client` or `server`, which moves nothing on."""
        return self._add(who, sequence, flags, payload)

    def _add(self, who: str, sequence: int, flags: int, payload: bytes = b"") -> "Talk":
        client = who == CLIENT
        (source, sport), (destination, dport) = (self.client, self.server) if client else (self.server, self.client)
        acknowledged = (self.server_next if client else self.client_next) if flags & ACK else 0
        data = tcp(sport, dport, sequence, flags, payload, acknowledged)
        packet = (ip6 if ":" in source else ip4)(source, destination, data)
        frame = on_link(self.link, packet)
        self.frames.append(Frame(START_NS + len(self.frames) * self.step_ns, self.link, frame, len(frame)))
        return self
