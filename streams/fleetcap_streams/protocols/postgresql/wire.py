"""The PostgreSQL protocol 3 on the wire: where a message ends, where one may begin, who sends it, whether it is one at all.

Every message but the client's first has a type and a length. Types mean different things by direction, and which direction
is which has to be found out, so each has a *shape*: a check of its whole content. Source: PostgreSQL's documentation, chapter
"Message Formats".
"""

import re
from collections.abc import Callable, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final, TypeAlias

from fleetcap_streams.protocols.contract import Score
from fleetcap_streams.protocols.framing import INVALID, MORE, State, Step

Shape: TypeAlias = Callable[[bytes, int], bool]
"""Whether content fits a type: its first bytes, at most `LOOK`, and its whole size."""

HEADER: Final = 5
LOOK: Final = 8192  # bytes by which a shape is judged
ENOUGH: Final = 64  # values or columns that fit prove a shape: the rest need not be looked at
LARGEST: Final = 1 << 30  # PostgreSQL's own limit of a message
LARGEST_STARTUP: Final = 10_000
LARGEST_ANCHOR: Final = 1 << 24  # of a message that is found in the middle of a stream


class Code(IntEnum):
    """What stands in place of a version in the client's first message."""

    CANCEL = 80877102
    SSL = 80877103
    GSS = 80877104


_INT32: Final = Struct(">i")
_LENGTH: Final = Struct(">I")
_STARTUP: Final = Struct(">II")


def _int16(data: bytes, at: int = 0) -> int:
    return data[at] << 8 | data[at + 1]


def _none(_body: bytes, size: int) -> bool:
    return size == 0


def _text(body: bytes, size: int) -> bool:
    """One string, ended by a zero, without control characters."""
    end = body.find(b"\0")
    return (end == size - 1 or (end < 0 and size > LOOK)) and not _CONTROL.search(body, 0, end if end >= 0 else LOOK)


_CONTROL: Final = re.compile(rb"[\x01-\x08\x0e-\x1f\x7f]")


def _strings(count: int, after: int) -> Shape:
    """So many strings, then so many bytes."""

    def shape(body: bytes, size: int) -> bool:
        end = -1
        for _ in range(count):
            end = body.find(b"\0", end + 1)
            if end < 0:
                return size > LOOK
        return end + 1 + after == size

    return shape


def _named(body: bytes, size: int) -> bool:
    return body[:1] in (b"S", b"P") and body.find(b"\0") == size - 1


def _parse(body: bytes, size: int) -> bool:
    name = body.find(b"\0")
    end = body.find(b"\0", name + 1) if name >= 0 else -1
    if end < 0:
        return size > LOOK and name < 256 and not _CONTROL.search(body, name + 1)
    if size < end + 3 or _CONTROL.search(body, 0, end):
        return False
    return len(body) < end + 3 or end + 3 + 4 * _int16(body, end + 1) == size


def _bind(body: bytes, size: int) -> bool:
    portal = body.find(b"\0")
    at = body.find(b"\0", portal + 1) + 1 if portal >= 0 else 0
    if not at or len(body) < at + 2:
        return False
    at += 2 + 2 * _int16(body, at)
    end = _cells(body, at, size)
    if end < 0 or len(body) < end + 2:
        return end == LOOK + 1 or (end >= 0 and size > LOOK)
    return end + 2 + 2 * _int16(body, end) == size


def _row(body: bytes, size: int) -> bool:
    end = _cells(body, 0, size)
    return end in (size, LOOK + 1)


def _cells(body: bytes, at: int, size: int) -> int:
    """Where a counted list of values ends, or where it leaves what can be seen; -1: it does not fit."""
    if len(body) < at + 2:
        return LOOK + 1 if size > LOOK else -1
    count = _int16(body, at)
    at += 2
    for place in range(count):
        if len(body) < at + 4:
            return LOOK + 1 if size > LOOK and at <= size else -1
        length = _INT32.unpack_from(body, at)[0]
        at += 4 + max(length, 0)
        if length < -1 or at > size:
            return -1
        if place == ENOUGH:
            return LOOK + 1 if at < size else at
    return at


def _columns(body: bytes, size: int) -> bool:
    if len(body) < 2:
        return False
    at = 2
    for place in range(_int16(body)):
        if place == ENOUGH:
            return at < size
        end = body.find(b"\0", at)
        if end < 0 or _CONTROL.search(body, at, end):
            return end < 0 and size > LOOK
        at = end + 19
    return at == size


# Of CommandComplete. Only because the client's Close, with the same type, may look like one: S and the statement's name.
_TAGS: Final = frozenset(
    b"""
    ALTER ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE DEALLOCATE DECLARE DELETE DISCARD DO DROP
    EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY PREPARE REASSIGN REFRESH REINDEX RELEASE
    RESET REVOKE ROLLBACK SAVEPOINT SECURITY SELECT SET SHOW START TRUNCATE UNLISTEN UPDATE VACUUM
    """.split()
)


def _tag(body: bytes, size: int) -> bool:
    return size < 128 and _text(body, size) and body[:-1].partition(b" ")[0] in _TAGS


def _fields(body: bytes, size: int) -> bool:
    return size > 8 and body[:1] in (b"S", b"V", b"M", b"C") and b"\0" in body and (size > LOOK or body.endswith(b"\0\0"))


def _notification(body: bytes, size: int) -> bool:
    return size > 6 and _strings(2, 0)(body[4:], size - 4)


def _copy(body: bytes, size: int) -> bool:
    return size >= 3 and body[0] < 2 and 3 + 2 * _int16(body, 1) == size


def _authentication(body: bytes, size: int) -> bool:
    return size >= 4 and _LENGTH.unpack_from(body)[0] <= 12


def _any(_body: bytes, _size: int) -> bool:
    return True


FRONTEND: Final[Mapping[int, Shape]] = {
    ord("B"): _bind,
    ord("C"): _named,
    ord("D"): _named,
    ord("E"): _strings(1, 4),
    ord("F"): lambda _body, size: size >= 10,
    ord("H"): _none,
    ord("P"): _parse,
    ord("Q"): _text,
    ord("S"): _none,
    ord("X"): _none,
    ord("c"): _none,
    ord("d"): _any,
    ord("f"): _strings(1, 0),
    ord("p"): _any,
}
BACKEND: Final[Mapping[int, Shape]] = {
    ord("1"): _none,
    ord("2"): _none,
    ord("3"): _none,
    ord("A"): _notification,
    ord("C"): _tag,
    ord("D"): _row,
    ord("E"): _fields,
    ord("G"): _copy,
    ord("H"): _copy,
    ord("I"): _none,
    ord("K"): lambda _body, size: 8 <= size <= 260,
    ord("N"): _fields,
    ord("R"): _authentication,
    ord("S"): _strings(2, 0),
    ord("T"): _columns,
    ord("V"): lambda _body, size: size >= 4,
    ord("W"): _copy,
    ord("Z"): lambda body, size: size == 1 and body in (b"I", b"T", b"E"),
    ord("c"): _none,
    ord("d"): _any,
    ord("n"): _none,
    ord("s"): _none,
    ord("t"): lambda body, size: size >= 2 and 2 + 4 * _int16(body) == size,
    ord("v"): lambda _body, size: size >= 8,
}
# Five bytes, or any bytes, prove nothing: as a place to begin they count only when another message follows.
_WEAK: Final = {letter for table in (FRONTEND, BACKEND) for letter, shape in table.items() if shape in (_none, _any)} | set(
    b"KRFVv"
)
BOTH: Final = (FRONTEND, BACKEND)


Tables: TypeAlias = tuple[Mapping[int, Shape], ...]


def message(data: bytes, at: int, tables: Tables) -> Step:
    """A message with a type that is in one of the tables."""
    if not any(data[at] in table for table in tables):
        return INVALID
    if len(data) < at + HEADER:
        return MORE
    length = _LENGTH.unpack_from(data, at + 1)[0]
    return (State.DONE, length + 1) if 4 <= length <= LARGEST else INVALID


def startup(data: bytes, at: int) -> Step:
    """The client's first message, which has no type and begins with a zero."""
    if len(data) < at + 8:
        return MORE
    length, code = _STARTUP.unpack_from(data, at)
    known = code >> 16 == 3 or (code in (Code.SSL, Code.GSS) and length == 8) or (code == Code.CANCEL and 16 <= length <= 268)
    return (State.DONE, length) if known and 8 <= length <= LARGEST_STARTUP else INVALID


def fits(table: Mapping[int, Shape], data: bytes) -> bool:
    """Whether a message, of which at least the first `LOOK` bytes of content are there, has the shape of its type."""
    shape = table.get(data[0])
    size = _LENGTH.unpack_from(data, 1)[0] - 4
    return shape is not None and shape(data[HEADER : HEADER + LOOK], size)


_PLACE: Final = re.compile(rb"[123ABCDEFGHIKNPQRSTVWXZcfnstv]\x00")


def find(data: bytes, at: int, tables: Tables) -> tuple[int, bool]:
    """The next message by its shape, and where that is weak, by what follows it."""
    while match := _PLACE.search(data, at):
        at = match.start()
        verdict = anchor(data, at, tables)
        if verdict is not Score.NO:
            return at, verdict is Score.YES
        at += 1
    return max(at, len(data) - 1), False


def anchor(data: bytes, at: int, tables: Tables) -> Score:
    """Whether a message begins here, judged by all of it, or by its first `LOOK` bytes."""
    if len(data) < at + HEADER:
        return Score.MORE
    length = _LENGTH.unpack_from(data, at + 1)[0]
    shapes = [table[data[at]] for table in tables if data[at] in table]
    if not 4 <= length <= LARGEST_ANCHOR or not any(length == 4 or shape is not _none for shape in shapes):
        return Score.NO
    weak = data[at] in _WEAK
    if weak and length > LOOK:
        return Score.NO
    end = at + 1 + length
    if len(data) < (end + HEADER if weak else min(end, at + HEADER + LOOK)):
        return Score.MORE
    body = data[at + HEADER : min(end, at + HEADER + LOOK)]
    fitting = any(shape(body, length - 4) for shape in shapes)
    return Score.YES if fitting and (not weak or message(data, end, tables)[0] is State.DONE) else Score.NO
