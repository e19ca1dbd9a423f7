"""The classic packet capture format (draft-ietf-opsawg-pcap): a header, then packets; four magics for order and resolution.

dpkt's reader of it gives times as floating point, which cannot hold nanoseconds, and leaves the true length of packets out,
without which their missing bytes would go unnoticed; so the dozen fields are read here.
"""

from collections.abc import Iterator
from struct import Struct
from typing import IO, Final, NamedTuple

from fleetcap.inputs.errors import DamagedInputError
from fleetcap.inputs.frame import Frame


class _Kind(NamedTuple):
    order: str
    unit_ns: int
    extra: int  # bytes that one variant has after the usual four fields of a packet's header


MAGICS: Final = {
    b"\xa1\xb2\xc3\xd4": _Kind(">", 1000, 0),
    b"\xd4\xc3\xb2\xa1": _Kind("<", 1000, 0),
    b"\xa1\xb2\x3c\x4d": _Kind(">", 1, 0),
    b"\x4d\x3c\xb2\xa1": _Kind("<", 1, 0),
    b"\xa1\xb2\xcd\x34": _Kind(">", 1000, 8),  # Kuznetsov's variant: interface, protocol, packet type
    b"\x34\xcd\xb2\xa1": _Kind("<", 1000, 8),
}
# As large as libpcap itself lets a packet be, and then some; more means that this is no header.
MOST_BYTES: Final = 1 << 24
_FILE_HEADER = 24
_LINK_MASK = 0x0FFFFFFF  # the bits above tell of a frame check sequence


def read_pcap(name: str, stream: IO[bytes]) -> Iterator[Frame]:
    """Packets in the order of the file.

    Raises:
        DamagedInputError: it ends inside a packet, or holds what cannot be one; everything before was given.
    """
    header = stream.read(_FILE_HEADER)
    if len(header) < _FILE_HEADER:
        raise DamagedInputError(f"{name} ends inside its file header; nothing could be read, capture it again")
    kind = MAGICS[header[:4]]
    (link,) = Struct(kind.order + "I").unpack_from(header, 20)
    packet = Struct(f"{kind.order}IIII{kind.extra}x")
    read, unpack, size, unit_ns = stream.read, packet.unpack, packet.size, kind.unit_ns
    offset = _FILE_HEADER
    while header := read(size):
        if len(header) < size:
            raise _cut(name, offset)
        seconds, fraction, captured, length = unpack(header)
        if captured > MOST_BYTES:
            raise DamagedInputError(f"{name} is damaged at byte {offset}: no packet stands there; what stands before was read")
        data = read(captured)
        if len(data) < captured:
            raise _cut(name, offset)
        yield Frame(seconds * 1_000_000_000 + fraction * unit_ns, link & _LINK_MASK, data, max(length, captured))
        offset += size + captured


def _cut(name: str, offset: int) -> DamagedInputError:
    return DamagedInputError(f"{name} ends inside the packet at byte {offset}; what stands before it was read, the rest is lost")
