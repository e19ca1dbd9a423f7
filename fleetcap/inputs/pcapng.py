"""The pcapng format (draft-ietf-opsawg-pcapng): blocks in sections of either byte order, packets of several interfaces.

dpkt's reader of it takes the first interface's link type and resolution for all of them, and gives times as floating point;
so the blocks are read here. Blocks that are no packets are skipped by their length.
"""

from collections.abc import Iterator
from struct import Struct
from typing import IO, Final, NamedTuple

from fleetcap.inputs.errors import DamagedInputError
from fleetcap.inputs.frame import Frame
from fleetcap.inputs.pcap import MOST_BYTES

MAGIC: Final = b"\x0a\x0d\x0d\x0a"
_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 1, 2, 3, 6
_IF_TSRESOL, _IF_TSOFFSET = 9, 14
_SMALLEST_BLOCK = 12
# The longest block there is a reason for is a packet's; a name resolution block or a list of secrets may be longer.
_LARGEST_BLOCK: Final = 4 * MOST_BYTES
_MOST_INTERFACES = 1 << 16


class _Interface(NamedTuple):
    link: int
    snap: int
    units: int  # of time in a second
    offset_s: int

    def time_ns(self, count: int) -> int:
        return max(self.offset_s * 1_000_000_000 + count * 1_000_000_000 // self.units, 0)


class _Section:
    """What one section says of all that follows in it."""

    def __init__(self, order: str) -> None:
        self.interfaces: list[_Interface] = []
        self.two = Struct(order + "HH").unpack_from
        self.interface = Struct(order + "HHI").unpack_from
        self.packet = Struct(order + "IIIII").unpack_from
        self.old_packet = Struct(order + "HHIIII").unpack_from
        self.one = Struct(order + "I").unpack_from
        self.offset = Struct(order + "q").unpack_from


class _Reader:
    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name = name
        self._stream = stream
        self._offset = 0  # of the block that is being read
        self._section = _Section("<")

    def frames(self) -> Iterator[Frame]:
        while (block := self._block()) is not None:
            kind, body = block
            frame = self._take(kind, body)
            if frame is not None:
                yield frame
            self._offset += _SMALLEST_BLOCK + len(body)

    def _block(self) -> tuple[int, bytes] | None:
        head = self._stream.read(8)
        if not head:
            return None
        if len(head) == 8 and head[:4] == MAGIC:
            head += self._stream.read(4)
            if head[8:] not in _ORDERS:
                raise self._damaged("a section of unknown byte order begins there")
            self._section = _Section(_ORDERS[head[8:]])
        if len(head) < 8:
            raise self._cut()
        kind, size = self._section.one(head)[0], self._section.one(head, 4)[0]
        if not _SMALLEST_BLOCK <= size <= _LARGEST_BLOCK or size % 4:
            raise self._damaged("no block stands there")
        rest = self._stream.read(size - len(head))
        if len(rest) < size - len(head):
            raise self._cut()
        body = (head[8:] + rest)[:-4]
        return kind, body

    def _take(self, kind: int, body: bytes) -> Frame | None:
        section = self._section
        if kind == _PACKET and len(body) >= 20:
            number, high, low, captured, length = section.packet(body)
            return self._frame(number, high << 32 | low, body[20 : 20 + captured], captured, length)
        if kind == _OLD_PACKET and len(body) >= 20:
            number, _, high, low, captured, length = section.old_packet(body)
            return self._frame(number, high << 32 | low, body[20 : 20 + captured], captured, length)
        if kind == _SIMPLE and len(body) >= 4 and section.interfaces:
            (length,) = section.one(body)
            captured = min(length, section.interfaces[0].snap or length)
            return self._frame(0, 0, body[4 : 4 + captured], captured, length)
        if kind == _INTERFACE and len(body) >= 8 and len(section.interfaces) < _MOST_INTERFACES:
            section.interfaces.append(self._interface(body))
        return None

    def _frame(self, number: int, time: int, data: bytes, captured: int, length: int) -> Frame:
        if number >= len(self._section.interfaces):
            raise self._damaged(f"a packet of interface {number}, which is not described, stands there")
        if len(data) < captured:
            raise self._damaged("a packet is longer than its block there")
        interface = self._section.interfaces[number]
        return Frame(interface.time_ns(time), interface.link, data, max(length, captured))

    def _interface(self, body: bytes) -> _Interface:
        link, _, snap = self._section.interface(body)
        units, offset_s, place = 1_000_000, 0, 8
        while place + 4 <= len(body):
            code, size = self._section.two(body, place)
            value = body[place + 4 : place + 4 + size]
            if code == _IF_TSRESOL and len(value) == 1:
                units = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == _IF_TSOFFSET and len(value) == 8:
                (offset_s,) = self._section.offset(value)
            elif code == 0:
                break
            place += 4 + (size + 3) // 4 * 4
        return _Interface(link, snap, units, offset_s)

    def _cut(self) -> DamagedInputError:
        return DamagedInputError(
            f"{self._name} ends inside the block at byte {self._offset}; what stands before it was read, the rest is lost"
        )

    def _damaged(self, why: str) -> DamagedInputError:
        return DamagedInputError(f"{self._name} is damaged at byte {self._offset}: {why}; what stands before was read")


def read_pcapng(name: str, stream: IO[bytes]) -> Iterator[Frame]:
    """Packets in the order of the file. One without a time has that of 1970.

    Raises:
        DamagedInputError: it ends inside a block, or holds what cannot be one; everything before was given.
    """
    return _Reader(name, stream).frames()
