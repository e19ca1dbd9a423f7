"""AMQP 0-9-1 on the wire: where frames end and begin, and where one may be found again.

Source: the AMQP 0-9-1 specification, sections 2.3 and 4.2. A frame is a type, a channel, a length, so many bytes, and 0xCE.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from fleetcap_streams.protocols.amqp.fields import MalformedError, Reader, ShortError
from fleetcap_streams.protocols.amqp.methods import BASIC, METHODS
from fleetcap_streams.protocols.contract import Score
from fleetcap_streams.protocols.framing import INVALID, MORE, State, Step

# By the version that it names. The older ones, which brokers still take from old clients, have the same frames.
PROTOCOL_HEADERS: Final = {b"AMQP\0\0\x09\1": "0-9-1", b"AMQP\1\1\0\x09": "0-9", b"AMQP\1\1\x08\0": "0-8"}
HEADER_SIZE: Final = 8
_PROTOCOL: Final = ord("A")
METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
BEFORE: Final = 7  # bytes of a frame before its payload
AROUND: Final = BEFORE + 1  # and behind it
END: Final = 0xCE
WHOLE_HEARTBEAT: Final = b"\x08\0\0\0\0\0\0\xce"
LARGEST: Final = 64 << 20  # bytes of a payload; brokers agree to 128 KiB unless told otherwise
FIRST_METHOD: Final = 11  # bytes that tell a frame's method
CONTENT_HEADER: Final = 14  # bytes of a content's header up to its properties
_FOUND: Final = 4096  # bytes: a frame that is longer is not looked for, since it has to be seen whole to be sure

_IDS: Final = b"|".join(re.escape(class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big")) for class_id, method_id in METHODS)
_CANDIDATE: Final = re.compile(
    rb"(?s)(?=\x01..\0\0[\0-\x10].(?:"
    + _IDS
    + rb")|\x02..\0\0[\0-\x10].\0"
    + re.escape(bytes([BASIC]))
    + rb"\0\0|"
    + re.escape(WHOLE_HEARTBEAT)
    + rb")"
)


class Head(NamedTuple):
    """What every frame begins with; `size` is its payload's."""

    kind: int
    channel: int
    size: int


def head(data: bytes, at: int = 0) -> Head:
    """The head of a frame; 7 bytes have to be there."""
    return Head(data[at], int.from_bytes(data[at + 1 : at + 3], "big"), int.from_bytes(data[at + 3 : at + 7], "big"))


def frame(data: bytes, at: int, most: int = LARGEST) -> Step:
    """The frame, or the protocol header, that begins here; its payload has at most so many bytes."""
    there = len(data) - at
    if data[at] == _PROTOCOL:
        score = protocol_header(data[at : at + HEADER_SIZE])
        return INVALID if score is Score.NO else MORE if score is Score.MORE else (State.DONE, HEADER_SIZE)
    if data[at] not in (METHOD, HEADER, BODY, HEARTBEAT):
        return INVALID
    if there < BEFORE:
        return MORE
    kind, _, size = head(data, at)
    if size > most:
        return INVALID
    if kind == HEARTBEAT:
        return (State.DONE, AROUND) if WHOLE_HEARTBEAT.startswith(data[at : at + BEFORE]) else INVALID
    if kind == BODY:
        return State.DONE, AROUND + size
    return _numbered(data, at, kind, size)


def _numbered(data: bytes, at: int, kind: int, size: int) -> Step:
    """A method or a content's header, which say of what class they are."""
    if size < (4 if kind == METHOD else CONTENT_HEADER):
        return INVALID
    if len(data) - at < FIRST_METHOD:
        return MORE
    first, second = ids(data, at)
    known = (first, second) in METHODS if kind == METHOD else (first, second) == (BASIC, 0)
    return (State.DONE, AROUND + size) if known else INVALID


def protocol_header(begun: bytes) -> Score:
    """Whether these are the first 8 bytes of a connection, or so many of them as are there."""
    if begun in PROTOCOL_HEADERS:
        return Score.YES
    return Score.MORE if any(each.startswith(begun) for each in PROTOCOL_HEADERS) else Score.NO


def ids(data: bytes, at: int = 0) -> tuple[int, int]:
    """The class and the method of a method's frame; the class and the weight, which is 0, of a content's header."""
    begin = at + BEFORE
    return int.from_bytes(data[begin : begin + 2], "big"), int.from_bytes(data[begin + 2 : begin + 4], "big")


def proven(data: bytes, at: int) -> Score:
    """Whether a whole method, content's header or heartbeat begins here, by all of its bytes.

    MAYBE: it is too long to be judged. A body proves nothing.
    """
    there = data[at : at + BEFORE]
    if not there or there[0] not in (METHOD, HEADER, HEARTBEAT):
        return Score.NO if there else Score.MORE
    state, size = frame(data, at)
    if state is not State.DONE:
        return Score.MORE if state is State.MORE else Score.NO
    if size > _FOUND:
        return Score.MAYBE
    if len(data) - at < size:
        return Score.MORE
    return Score.YES if data[at + size - 1] == END and _reads(data, at, at + size - 1) else Score.NO


def _reads(data: bytes, at: int, end: int) -> bool:
    """Whether the payload is just what its numbers say it is."""
    kind = data[at]
    if kind == HEARTBEAT:
        return True
    try:
        if kind == METHOD:
            reader = Reader(data, at + FIRST_METHOD, end)
            reader.arguments(METHODS[ids(data, at)].arguments)
        else:
            reader = Reader(data, at + BEFORE + CONTENT_HEADER - 2, end)
            reader.properties()
    except (ShortError, MalformedError):
        return False
    return reader.at == end


def find(data: bytes, at: int) -> tuple[int, bool]:
    """Where a frame begins that proves itself, and whether that is certain."""
    for place in _candidates(data, at):
        score = proven(data, place)
        if score in (Score.YES, Score.MORE):
            return place, score is Score.YES
    return max(at, len(data) - FIRST_METHOD + 1), False


def _candidates(data: bytes, at: int) -> Iterator[int]:
    while match := _CANDIDATE.search(data, at):
        yield match.start()
        at = match.start() + 1
