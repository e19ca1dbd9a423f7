"""What OP_COMPRESSED holds, decompressed no further than a cap, however much it would become.

Knows no message. A compressed message that was cut gives its beginning.
"""

import zlib
from collections.abc import Callable
from typing import Final

import zstandard

NAMES: Final = {0: "noop", 1: "snappy", 2: "zlib", 3: "zstd"}
_ZSTD_WINDOW: Final = 8 * 1024 * 1024  # bytes; what MongoDB's compression levels need at most


class CompressionError(Exception):
    """The bytes are not what their compressor writes, or its number is not known."""


def decompress(compressor: int, data: bytes, cap: int) -> bytes:
    """At most `cap` bytes of what the data stands for; fewer where the data ends before.

    Raises:
        CompressionError: see there.
    """
    method = _METHODS.get(compressor)
    if method is None:
        raise CompressionError
    try:
        return method(data, cap)
    except (zlib.error, zstandard.ZstdError) as error:
        raise CompressionError from error


def _stored(data: bytes, cap: int) -> bytes:
    return data[:cap]


def _inflate(data: bytes, cap: int) -> bytes:
    return zlib.decompressobj().decompress(data, max(cap, 1))  # 0 would mean without a limit


def _zstd(data: bytes, cap: int) -> bytes:
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    pieces = []
    with context.stream_reader(data) as reader:
        while cap > 0 and (piece := reader.read(cap)):
            pieces.append(piece)
            cap -= len(piece)
    return b"".join(pieces)


def _snappy(data: bytes, cap: int) -> bytes:
    """The raw format of snappy's format_description.txt: literals, and copies of what came before."""
    size, at = _length(data)
    size = min(size, cap)
    out = bytearray()
    while at < len(data) and len(out) < size:
        tag = data[at]
        if tag & 3 == 0:
            count, at = _literal(data, at)
            out += data[at : at + count]
            at += count
            continue
        wide = (0, 1, 2, 4)[tag & 3]
        following = int.from_bytes(data[at + 1 : at + 1 + wide], "little")
        count, offset = ((tag >> 2 & 7) + 4, (tag >> 5) << 8 | following) if tag & 3 == 1 else ((tag >> 2) + 1, following)
        if at + 1 + wide > len(data):
            break
        if not 0 < offset <= len(out):
            raise CompressionError
        pattern = bytes(out[-offset:][:count])
        out += (pattern * (count // len(pattern) + 1))[:count]
        at += 1 + wide
    return bytes(out[:size])


def _literal(data: bytes, at: int) -> tuple[int, int]:
    """How many bytes stand as they are, and from where on."""
    short = data[at] >> 2
    wide = max(short - 59, 0)
    count = int.from_bytes(data[at + 1 : at + 1 + wide], "little") if wide else short
    return count + 1, at + 1 + wide


def _length(data: bytes) -> tuple[int, int]:
    """The decompressed size that stands before the data, and where that begins."""
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return size, place + 1
    raise CompressionError


_METHODS: Final[dict[int, Callable[[bytes, int], bytes]]] = {0: _stored, 1: _snappy, 2: _inflate, 3: _zstd}
