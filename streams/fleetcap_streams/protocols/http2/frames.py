"""What a single frame is made of (RFC 9113 sections 4 and 6): its types, flags and payloads, and what is wrong with it.

Knows no stream and no state. Errors are the RFC's error codes, as values.
"""

from enum import IntEnum
from typing import Final, NamedTuple

HEADER_SIZE: Final = 9
DEFAULT_MAX_FRAME: Final = 16_384  # SETTINGS_MAX_FRAME_SIZE before anybody raises it (section 6.5.2)
LARGEST_FRAME: Final = (1 << 24) - 1

END_STREAM: Final = 0x01
ACK: Final = 0x01
END_HEADERS: Final = 0x04
PADDED: Final = 0x08
PRIORITY_FLAG: Final = 0x20


class FrameType(IntEnum):
    """Section 6."""

    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class ErrorCode(IntEnum):
    """Section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


def error_name(code: int) -> str:
    """As the RFC calls it; a number where it does not know it."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return str(code)


class Setting(IntEnum):
    """Section 6.5.2, those that matter to a tap."""

    HEADER_TABLE_SIZE = 0x1
    MAX_FRAME_SIZE = 0x5


class Layout(NamedTuple):
    """What frames of a type may look like. `on_stream` None: both; `least` and `most` are the payload's length."""

    flags: int
    on_stream: bool | None
    least: int = 0
    most: int = LARGEST_FRAME


LAYOUTS: Final[tuple[Layout, ...]] = (
    Layout(END_STREAM | PADDED, on_stream=True),
    Layout(END_STREAM | END_HEADERS | PADDED | PRIORITY_FLAG, on_stream=True),
    Layout(0, on_stream=True, least=5, most=5),
    Layout(0, on_stream=True, least=4, most=4),
    Layout(ACK, on_stream=False),
    Layout(END_HEADERS | PADDED, on_stream=True, least=4),
    Layout(ACK, on_stream=False, least=8, most=8),
    Layout(0, on_stream=False, least=8),
    Layout(0, on_stream=None, least=4, most=4),
    Layout(END_HEADERS, on_stream=True),
)
KNOWN_TYPES: Final = len(LAYOUTS)
# Bytes of a payload, besides padding and priority, that come before its data or fragment; of the types that may be padded.
_OVERHEADS: Final[dict[int, int]] = {FrameType.DATA: 0, FrameType.HEADERS: 0, FrameType.PUSH_PROMISE: 4}


def header_error(kind: int, flags: int, stream: int, length: int, max_frame: int) -> ErrorCode | None:
    """What is wrong with a frame by its header alone. A frame of an unknown type is to be ignored, so nothing is (5.5)."""
    if length > max_frame:
        return ErrorCode.FRAME_SIZE_ERROR
    if kind >= KNOWN_TYPES:
        return None
    layout = LAYOUTS[kind]
    if layout.on_stream is not None and layout.on_stream != bool(stream):
        return ErrorCode.PROTOCOL_ERROR
    if not layout.least <= length <= layout.most:
        return ErrorCode.FRAME_SIZE_ERROR
    if kind == FrameType.SETTINGS and (length % 6 or (flags & ACK and length)):
        return ErrorCode.FRAME_SIZE_ERROR
    return None


def payload_error(kind: int, flags: int, payload: bytes) -> ErrorCode | None:
    """What is wrong with a whole frame whose header is right."""
    overhead = _OVERHEADS.get(kind)
    if overhead is not None:
        if kind == FrameType.HEADERS and flags & PRIORITY_FLAG:
            overhead += 5
        if flags & PADDED:
            overhead += 1 + (payload[0] if payload else 0)
        if overhead > len(payload):
            return ErrorCode.PROTOCOL_ERROR
    if kind == FrameType.PUSH_PROMISE:
        promised, _ = promise(flags, payload)
        return None if promised and promised % 2 == 0 else ErrorCode.PROTOCOL_ERROR
    if kind == FrameType.WINDOW_UPDATE and not number(payload):
        return ErrorCode.PROTOCOL_ERROR
    return None


def number(payload: bytes, start: int = 0) -> int:
    """31 bits, as a stream, a window increment or a dependency has."""
    return int.from_bytes(payload[start : start + 4]) & 0x7FFF_FFFF


def unpad(flags: int, payload: bytes) -> bytes:
    """The payload without its padding, which must not be longer than it."""
    return payload[1 : len(payload) - payload[0]] if flags & PADDED else payload


class Priority(NamedTuple):
    """Section 6.3; deprecated, but still sent. `weight` is from 1 to 256."""

    dependency: int
    weight: int
    exclusive: bool


def priority(payload: bytes) -> Priority:
    """Of a PRIORITY frame's payload, or the beginning of an unpadded HEADERS frame's that has one."""
    return Priority(number(payload), payload[4] + 1, payload[0] >= 0x80)


def fragment(flags: int, payload: bytes) -> bytes:
    """The header block fragment of a HEADERS frame (section 6.2)."""
    if flags & PADDED:
        payload = unpad(flags, payload)
    return payload[5:] if flags & PRIORITY_FLAG else payload


def promise(flags: int, payload: bytes) -> tuple[int, bytes]:
    """The promised stream and the header block fragment of a PUSH_PROMISE frame (section 6.6)."""
    payload = unpad(flags, payload)
    return number(payload), payload[4:]


def settings(payload: bytes) -> list[tuple[int, int]]:
    """Identifiers and values, in order (section 6.5)."""
    return [
        (int.from_bytes(payload[at : at + 2]), int.from_bytes(payload[at + 2 : at + 6])) for at in range(0, len(payload) - 5, 6)
    ]


class Goaway(NamedTuple):
    """Section 6.8."""

    last_stream: int
    error: int
    debug: bytes


def goaway(payload: bytes) -> Goaway:
    """Of a GOAWAY frame's payload."""
    return Goaway(number(payload), int.from_bytes(payload[4:8]), payload[8:])
