"""WebSocket frame headers (RFC 6455 section 5.2), and whether bytes look like a run of frames."""

from enum import IntEnum
from typing import Final, NamedTuple

MOST_HEADER: Final = 14
CONTROL_MOST: Final = 125  # RFC 6455 section 5.5: bytes of a control frame's payload


class Opcode(IntEnum):
    """RFC 6455 section 11.8; the others are reserved, and no extension in use defines one."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


NAMES: Final = {opcode: opcode.name.lower() for opcode in Opcode}


class Header(NamedTuple):
    """A frame's header. `size`: of the header itself, bytes; `length`: of the payload."""

    size: int
    length: int
    opcode: Opcode
    final: bool
    compressed: bool  # RSV1, which only permessage-deflate defines (RFC 7692 section 6)
    key: bytes  # 4 bytes, or empty where the frame is not masked


class Invalid(Exception):  # noqa: N818 - nobody's error: the bytes are no frame
    """No frame begins with these bytes."""


def read_header(data: bytes, at: int = 0) -> Header | None:
    """The header that begins at `at`; None: more bytes are needed.

    Raises:
        Invalid: as soon as the bytes that are there rule a frame out.
    """
    there = len(data) - at
    if there <= 0:
        return None
    first = data[at]
    if first & 0x30 or first & 0x0F not in NAMES:
        raise Invalid
    opcode, final, compressed = Opcode(first & 0x0F), first >= 0x80, bool(first & 0x40)
    # Control frames are not fragmented, and only the first frame of a message says that it is compressed.
    if (opcode >= Opcode.CLOSE and (not final or compressed)) or (opcode is Opcode.CONTINUATION and compressed):
        raise Invalid
    if there == 1:
        return None
    short = data[at + 1] & 0x7F
    if opcode >= Opcode.CLOSE and short > CONTROL_MOST:
        raise Invalid
    end = at + 2 + (0 if short < 126 else 2 if short == 126 else 8)
    if len(data) < end:
        return None
    length = short if short < 126 else int.from_bytes(data[at + 2 : end])
    # RFC 6455 section 5.2: the shortest form, and the highest bit of the longest is 0.
    if (short == 126 and length < 126) or (short == 127 and not 1 << 16 <= length < 1 << 63):
        raise Invalid
    if not data[at + 1] & 0x80:
        return Header(end - at, length, opcode, final, compressed, b"")
    if len(data) < end + 4:
        return None
    return Header(end + 4 - at, length, opcode, final, compressed, data[end : end + 4])


class Run(NamedTuple):
    """A run of frames. `frames`: headers that follow each other; `end`: where the last of them ends, maybe beyond the data."""

    frames: int
    end: int
    sound: bool  # nothing in it rules frames out
    masked: bool


def follow(data: bytes, at: int, enough: int) -> Run:
    """Go from header to header, at most `enough` of them, as long as they fit together."""
    frames, masked = 0, False
    open_message: bool | None = None  # None: not known, as at the beginning
    while frames < enough:
        try:
            header = read_header(data, at)
        except Invalid:
            return Run(frames, at, sound=False, masked=masked)
        if header is None:
            break
        continues = header.opcode is Opcode.CONTINUATION
        fits = header.opcode >= Opcode.CLOSE or open_message is None or open_message == continues
        if not fits or (frames and masked != bool(header.key)):
            return Run(frames, at, sound=False, masked=masked)
        masked = bool(header.key)
        if header.opcode < Opcode.CLOSE:
            open_message = not header.final
        at += header.size + header.length
        frames += 1
    return Run(frames, at, sound=True, masked=masked)


def unmask(data: bytes, key: bytes, offset: int) -> bytes:
    """A piece of a masked payload that begins `offset` bytes behind the header (RFC 6455 section 5.3)."""
    if not key or not data:
        return data
    turned = key[offset % 4 :] + key[: offset % 4]
    mask = (turned * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(mask)).to_bytes(len(data))
