"""Writes pcapng (draft-ietf-opsawg-pcapng): IP packets of several interfaces, comments on packets, TLS keys. Knows no socket.

Keys have to stand before the packets they decrypt, because readers of a stream do not look ahead.
"""

import struct
from collections.abc import Iterable
from typing import BinaryIO

_SECTION, _INTERFACE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 6, 10
_ORDER = 0x1A2B3C4D
_RAW_IP = 101  # LINKTYPE_RAW: the packet begins with its IP header
_TLS_KEY_LOG = 0x544C534B
_COMMENT, _APPLICATION, _NAME, _RESOLUTION = 1, 4, 2, 9
_NANOSECONDS = b"\x09"
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("=HH", code, len(value)) + _padded(value)


def _options(*options: bytes) -> bytes:
    return b"".join(options) + bytes(4) if any(options) else b""


class PcapngWriter:
    """One section in `to`, in this machine's byte order, with times in nanoseconds."""

    def __init__(self, to: BinaryIO, application: str) -> None:
        self._to = to
        self._interfaces: dict[str, int] = {}
        self.packets = 0
        named = _options(_option(_APPLICATION, application.encode()))
        self._block(_SECTION, struct.pack("=IHHQ", _ORDER, 1, 0, _UNKNOWN_LENGTH) + named)

    def _block(self, kind: int, body: bytes) -> None:
        size = struct.pack("=I", 12 + len(body))
        self._to.write(struct.pack("=I", kind) + size + body + size)

    def secrets(self, lines: Iterable[str]) -> None:
        """Lines of an NSS key log."""
        text = "".join(lines).encode()
        if text:
            self._block(_SECRETS, struct.pack("=II", _TLS_KEY_LOG, len(text)) + _padded(text))

    def packet(self, interface: str, time_ns: int, data: bytes, length: int, comment: str) -> None:
        """An IP packet of `length` bytes, of which `data` was captured."""
        number = self._interfaces.get(interface)
        if number is None:
            number = self._interfaces[interface] = len(self._interfaces)
            described = _options(_option(_NAME, interface.encode()), _option(_RESOLUTION, _NANOSECONDS))
            self._block(_INTERFACE, struct.pack("=HHI", _RAW_IP, 0, 0) + described)
        head = struct.pack("=IIIII", number, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), length)
        said = _options(_option(_COMMENT, comment.encode()) if comment else b"")
        self._block(_PACKET, head + _padded(data) + said)
        self.packets += 1

    def flush(self) -> None:
        """Hand on what was written."""
        self._to.flush()
