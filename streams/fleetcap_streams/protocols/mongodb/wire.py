"""MongoDB's messages on the wire: where they end and begin, and whether a connection speaks it.

Source: "MongoDB Wire Protocol" of MongoDB's manual, with the legacy operation codes that MongoDB 5.1 and later refuse.
"""

import re
from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from fleetcap_streams.protocols.contract import Opening, Score
from fleetcap_streams.protocols.framing import INVALID, MORE, State, Step
from fleetcap_streams.protocols.mongodb import bson

HEADER: Final = 16
MOST: Final = 48_000_000 + 16 * 1024  # bytes of a message: maxMessageSizeBytes, and what servers take beyond it
_NAMESPACE: Final = 512  # bytes; databases and collections have names of up to 255 together

REPLY: Final = 1
UPDATE: Final = 2001
INSERT: Final = 2002
QUERY: Final = 2004
GET_MORE: Final = 2005
DELETE: Final = 2006
KILL_CURSORS: Final = 2007
COMPRESSED: Final = 2012
MSG: Final = 2013
NAMES: Final = {
    REPLY: "OP_REPLY",
    UPDATE: "OP_UPDATE",
    INSERT: "OP_INSERT",
    QUERY: "OP_QUERY",
    GET_MORE: "OP_GET_MORE",
    DELETE: "OP_DELETE",
    KILL_CURSORS: "OP_KILL_CURSORS",
    COMPRESSED: "OP_COMPRESSED",
    MSG: "OP_MSG",
}
CHECKSUM: Final = 1  # OP_MSG's flags
MORE_TO_COME: Final = 2
EXHAUST_ALLOWED: Final = 1 << 16
EXHAUST: Final = 1 << 6  # OP_QUERY's flag
COMPRESSED_HEADER: Final = HEADER + 9

_HEADER: Final = Struct("<iiii")
_TWO: Final = Struct("<ii")
_CODES: Final = b"|".join(re.escape(code.to_bytes(4, "little")) for code in NAMES)
_CANDIDATE: Final = re.compile(rb"(?s)(?=...[\x00-\x02].{8}(?:" + _CODES + rb"))")
# What may become a header: its last bytes, as far as they are there, are those of an operation.
_BEGUN: Final = re.compile(
    rb"(?s).{0,3}\Z|...[\x00-\x02].{0,8}\Z|...[\x00-\x02].{8}(?:[\x01\xd1\xd2\xd4-\xd7\xdc\xdd]\Z|(?:\x01\0|[\xd1\xd2\xd4-\xd7\xdc\xdd]\x07)\0{0,2}.{0,4}\Z)"
)
_FAR: Final = 1024  # bytes in which a message is looked for where the tap joined


class Header(NamedTuple):
    """What every message begins with."""

    size: int
    request_id: int
    response_to: int
    code: int


def read_header(data: bytes, at: int = 0) -> Header:
    """The header; 16 bytes have to be there."""
    return Header(*_HEADER.unpack_from(data, at))


def _two(data: bytes, at: int) -> tuple[int, int]:
    first, second = _TWO.unpack_from(data, at)
    return int(first), int(second)


def is_message(data: bytes, at: int) -> Score:
    """Whether a message begins here, by its header and what has to stand behind it: YES, MORE or NO."""
    if len(data) < at + HEADER + 4:
        return Score.MORE if _BEGUN.match(data, at) else Score.NO
    header = read_header(data, at)
    check = _CHECKS.get(header.code)
    if check is None or not HEADER + 4 <= header.size <= MOST:
        return Score.NO
    found = check(data, at + HEADER, at + header.size)
    return Score.MORE if found is None else Score.YES if found else Score.NO


_Check: TypeAlias = Callable[[bytes, int, int], bool | None]

# Each is given the place behind the header and where the message ends; None: more bytes are needed to tell.


def _msg(data: bytes, at: int, end: int) -> bool | None:
    flags = int.from_bytes(data[at : at + 4], "little")
    if flags & 0xFFFC:  # a receiver has to refuse flags it does not know among these
        return False
    end -= 4 if flags & CHECKSUM else 0
    if len(data) < at + 5:
        return None
    if data[at + 4] == 0:
        return bson.begins(data, at + 5, end - at - 5)
    if data[at + 4] != 1:
        return False
    if len(data) < at + 10:
        return None
    size = int.from_bytes(data[at + 5 : at + 9], "little")
    return 6 <= size <= end - at - 5 and 0x20 <= data[at + 9] < 0x7F


def _reply(data: bytes, at: int, end: int) -> bool | None:
    if len(data) < at + 20:
        return None
    flags = int.from_bytes(data[at : at + 4], "little")
    start, count = _two(data, at + 12)
    if flags > 15 or start < 0 or count < 0 or end - at < 20 + count * bson.LEAST:
        return False
    return bson.begins(data, at + 20, end - at - 20) if count else end == at + 20


def _named(numbers: int, flags: int, document: bool) -> _Check:  # noqa: FBT001 - one row of a table
    """Flags, a namespace, so many numbers, and then a document or not."""

    def check(data: bytes, at: int, end: int) -> bool | None:
        if int.from_bytes(data[at : at + 4], "little") & ~flags:
            return False
        match = _NAME.match(data, at + 4)
        if match is None:
            return None if _NAME_BEGUN.match(data, at + 4) else False
        behind = match.end() + 4 * numbers
        if not document:
            return behind == end
        return bson.begins(data, behind, end - behind) if behind + bson.LEAST <= end else False

    return check


_NAME: Final = re.compile(rb"[^\x00-\x20.]{1,64}\.[^\x00-\x1f]{1,256}\0")
_NAME_BEGUN: Final = re.compile(rb"[^\x00-\x20.]{0,64}(?:\.[^\x00-\x1f]{0,256})?\Z")


def _kill(data: bytes, at: int, end: int) -> bool | None:
    if len(data) < at + 8:
        return None
    zero, count = _two(data, at)
    return zero == 0 and count >= 0 and end == at + 8 + 8 * count


def _compressed(data: bytes, at: int, end: int) -> bool | None:
    if len(data) < at + 9:
        return None
    code, size = _two(data, at)
    return code in NAMES and code != COMPRESSED and 0 <= size <= MOST and data[at + 8] <= 3 and end >= at + 9


_CHECKS: Final[dict[int, _Check]] = {
    MSG: _msg,
    REPLY: _reply,
    COMPRESSED: _compressed,
    QUERY: _named(2, 0xFF, document=True),
    INSERT: _named(0, 1, document=True),
    UPDATE: _named(1, 0, document=True),
    DELETE: _named(1, 0, document=True),
    GET_MORE: _named(3, 0, document=False),
    KILL_CURSORS: _kill,
}


def message(data: bytes, at: int) -> Step:
    """The frame that begins here."""
    score = is_message(data, at)
    if score is Score.YES:
        return State.DONE, read_header(data, at).size
    return MORE if score is Score.MORE else INVALID


def find(data: bytes, at: int) -> tuple[int, bool]:
    """Where the next message begins, and whether that is certain."""
    while match := _CANDIDATE.search(data, at):
        at = match.start()
        score = is_message(data, at)
        if score is not Score.NO:
            return at, score is Score.YES
        at += 1
    return max(at, len(data) - HEADER + 1), False


def probe(opening: Opening) -> Score:
    """YES where a direction begins with a message; where the tap joined MAYBE, if there is one further on."""
    scores = [is_message(data, 0) if data else Score.MORE for data in opening[:2]]
    if Score.YES in scores:
        return Score.YES
    if not opening.joined:
        return min(scores)
    return Score.MAYBE if any(find(data[:_FAR], 0)[1] for data in opening[:2]) else Score.MORE
