"""Sees this machine's TCP packets, by an AF_PACKET socket in its network namespace (packet(7)). Decides nothing about them."""

import ctypes
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from fleetcap_producer.errors import TapError

_ALL_PROTOCOLS = 3  # ETH_P_ALL, linux/if_ether.h
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 26, 35, 33
_SOL_PACKET, _STATISTICS = 263, 6
_OUTGOING = 4
_LOOPBACK = "lo"
_TCP = 6
_TIME = struct.Struct("=qq")
_BUFFER_BYTES = 64 << 20  # a second of a gigabit, while Python does something else
_MOST_BYTES = 1 << 18  # of a packet; offloading makes them much longer than a network would carry
_SYN, _ACK = 0x02, 0x10

# Classic BPF (linux/filter.h): IPv4 with protocol TCP, IPv6 with next header TCP; else nothing.
_FILTER = (
    (0x30, 0, 0, 0),  # load byte 0
    (0x74, 0, 0, 4),  # version
    (0x15, 0, 2, 4),  # 4?
    (0x30, 0, 0, 9),  # load the protocol
    (0x05, 0, 0, 2),  # jump to its comparison
    (0x15, 0, 3, 6),  # 6?
    (0x30, 0, 0, 6),  # load the next header
    (0x15, 0, 1, _TCP),
    (0x06, 0, 0, _MOST_BYTES),
    (0x06, 0, 0, 0),
)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


class End(NamedTuple):
    """One end of a connection; the address as in a packet, 4 or 16 bytes."""

    ip: bytes
    port: int


class Packet(NamedTuple):
    """An IP packet with TCP in it. `begins`: it asks for a new connection."""

    interface: str
    time_ns: int
    data: bytes
    length: int
    source: End
    destination: End
    begins: bool


class Sniffer:
    """An open socket.

    Raises:
        TapError: this process may not open it.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        except OSError as error:
            raise TapError(f"packets cannot be captured ({error.strerror})", "run as root, or with CAP_NET_RAW") from error
        code = b"".join(struct.pack("=HBBI", *one) for one in _FILTER)
        held = ctypes.create_string_buffer(code)
        program = _Program(len(_FILTER), ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setblocking(False)
        self._empty()
        self._dropped = 0

    def _empty(self) -> None:
        """Leaves out what came before the socket was set up."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1)

    def read(self, most: int) -> Iterator[Packet]:
        """Up to `most` packets that wait; never waits itself."""
        for _ in range(most):
            try:
                data, told, flags, where = self._socket.recvmsg(_MOST_BYTES, 128)
            except BlockingIOError:
                return
            interface, _, way = where[:3]
            # What leaves by the loopback device comes back by it.
            if interface == _LOOPBACK and way == _OUTGOING:
                continue
            ends = parse(data)
            if ends and not flags & socket.MSG_TRUNC:
                yield Packet(interface, _time_ns(told), data, len(data), *ends)

    def dropped(self) -> int:
        """Packets for which the socket had no room, since the beginning."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        self._dropped += dropped
        return self._dropped

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _time_ns(told: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in told:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIME.unpack_from(value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def parse(data: bytes) -> tuple[End, End, bool] | None:
    """Source, destination, and whether a connection is asked for; None for what is no whole TCP header."""
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20 and data[9] == _TCP:
        if (data[6] & 0x1F) << 8 | data[7]:
            return None  # a later fragment
        addresses, at = (data[12:16], data[16:20]), (data[0] & 0xF) * 4
    elif version == 6 and len(data) >= 40 and data[6] == _TCP:
        addresses, at = (data[8:24], data[24:40]), 40
    else:
        return None
    if len(data) < at + 20:
        return None
    source, destination = struct.unpack_from(">HH", data, at)
    begins = data[at + 13] & (_SYN | _ACK) == _SYN
    return End(addresses[0], source), End(addresses[1], destination), begins
