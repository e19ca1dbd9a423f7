"""BSON documents element by element (bsonspec.org, version 1.1), also where only their beginning is there. Shows nothing.

Nothing is built and nothing recurses: a nested document is an element whose bytes whoever wants them walks in turn.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

DOUBLE: Final = 0x01
STRING: Final = 0x02
DOCUMENT: Final = 0x03
ARRAY: Final = 0x04
BINARY: Final = 0x05
UNDEFINED: Final = 0x06
OBJECT_ID: Final = 0x07
BOOLEAN: Final = 0x08
DATE: Final = 0x09
NULL: Final = 0x0A
REGEX: Final = 0x0B
DB_POINTER: Final = 0x0C
CODE: Final = 0x0D
SYMBOL: Final = 0x0E
CODE_WITH_SCOPE: Final = 0x0F
INT32: Final = 0x10
TIMESTAMP: Final = 0x11
INT64: Final = 0x12
DECIMAL128: Final = 0x13
MIN_KEY: Final = 0xFF
MAX_KEY: Final = 0x7F

STRINGS: Final = frozenset((STRING, CODE, SYMBOL))
LEAST: Final = 5  # bytes of an empty document

_FIXED: Final = {
    DOUBLE: 8,
    UNDEFINED: 0,
    OBJECT_ID: 12,
    BOOLEAN: 1,
    DATE: 8,
    NULL: 0,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    DECIMAL128: 16,
    MIN_KEY: 0,
    MAX_KEY: 0,
}
TYPES: Final = frozenset((*_FIXED, *STRINGS, DOCUMENT, ARRAY, BINARY, REGEX, DB_POINTER, CODE_WITH_SCOPE))
_NUMBERS: Final = {DOUBLE: Struct("<d"), INT32: Struct("<i"), INT64: Struct("<q"), BOOLEAN: Struct("<?")}
_INT32: Final = Struct("<i")


class ShortError(Exception):
    """The document goes on beyond the bytes that are there."""


class MalformedError(Exception):
    """The bytes are no BSON."""


class Element(NamedTuple):
    """One element; its value stands from `start` to `end`, which may lie beyond the bytes that are there."""

    kind: int
    name: bytes
    start: int
    end: int


def int32(data: bytes, at: int) -> int:
    """The number at a place.

    Raises:
        ShortError: it is not all there.
    """
    if at + 4 > len(data):
        raise ShortError
    return int(_INT32.unpack_from(data, at)[0])


def cstring_end(data: bytes, at: int, end: int) -> int:
    """Where the zero stands that ends the text at `at`.

    Raises:
        ShortError: that is beyond what is there.
        MalformedError: there is none before `end`.
    """
    place = data.find(b"\0", at, end)
    if place < 0:
        raise ShortError if len(data) < end else MalformedError
    return place


def document_size(data: bytes, at: int, end: int) -> int:
    """Bytes of the document at `at`, which has to be over at `end`.

    Raises:
        ShortError, MalformedError: see there.
    """
    size = int32(data, at)
    if size < LEAST or at + size > end:
        raise MalformedError
    return size


def elements(data: bytes, at: int, end: int) -> Iterator[Element]:
    """What the document at `at` holds, in order; `end`: where its surroundings end.

    Raises:
        ShortError, MalformedError: after the elements before that.
    """
    stop = at + document_size(data, at, end) - 1
    at += 4
    while True:
        if at >= len(data):
            raise ShortError
        kind = data[at]
        if kind == 0 and at == stop:
            return
        if kind not in TYPES:
            raise MalformedError
        name_end = cstring_end(data, at + 1, stop)
        start = name_end + 1
        value_end = start + _value_size(kind, data, start, stop)
        if value_end > stop:
            raise MalformedError
        yield Element(kind, data[at + 1 : name_end], start, value_end)
        at = value_end


def _value_size(kind: int, data: bytes, at: int, stop: int) -> int:
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    if kind == REGEX:
        return cstring_end(data, cstring_end(data, at, stop) + 1, stop) + 1 - at
    size = int32(data, at)
    # Each counts something else: strings their zero too, binaries their bytes, documents themselves.
    least, besides = {BINARY: (0, 5), DB_POINTER: (1, 16), DOCUMENT: (5, 0), ARRAY: (5, 0), CODE_WITH_SCOPE: (14, 0)}.get(
        kind, (1, 4)
    )
    if size < least:
        raise MalformedError
    return size + besides


def number(data: bytes, element: Element) -> int | float | None:
    """The value of a number or boolean that is all there."""
    form = _NUMBERS.get(element.kind)
    if form is None or element.end > len(data):
        return None
    value: int | float = form.unpack_from(data, element.start)[0]
    return value


def string(data: bytes, element: Element) -> bytes | None:
    """The value of a string, as far as it is there."""
    return data[element.start + 4 : element.end - 1] if element.kind == STRING else None


def begins(data: bytes, at: int, room: int) -> bool | None:
    """Whether a document of at most `room` bytes may begin here, by its first 6 bytes; None: they are not there."""
    if len(data) < at + LEAST:
        return None
    size = int(_INT32.unpack_from(data, at)[0])
    if not LEAST <= size <= room:
        return False
    if size == LEAST:
        return data[at + 4] == 0
    if len(data) < at + 6:
        return None
    return data[at + 4] in TYPES and (data[at + 5] == 0 or data[at + 5] >= 0x20)
