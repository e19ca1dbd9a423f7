"""BSON documents as relaxed extended JSON (version 2), bounded in size and depth, with secrets left out."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from struct import unpack_from
from typing import Final, NamedTuple

from fleetcap_streams.protocols.mongodb import bson
from fleetcap_streams.protocols.mongodb.bson import Element, ShortError
from fleetcap_streams.protocols.shown import HIDDEN

DEPTH: Final = 200  # documents in each other; MongoDB itself takes no more (maxBSONDepth)
_DEEPER: Final = '"…"'
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DATE: Final = 253_402_300_799_999  # milliseconds: the end of year 9999, beyond which relaxed JSON has numbers

SECRETS: Final = frozenset((b"payload", b"pwd"))  # of commands and replies: SASL messages, users' passwords
KEYS: Final = frozenset((b"key", b"nonce"))  # of those commands that log in without SASL
_LOGIN: Final = b"speculativeAuthenticate"
_WRAPPERS: Final = frozenset((b"$query", b"query"))  # OP_QUERY puts commands into these
_CREDENTIALS: Final = frozenset((b"storedKey", b"serverKey", b"MONGODB-CR"))  # of users, wherever they are shown


class FullError(Exception):
    """The text has reached its limit."""


class Text:
    """JSON while it is written. `cut`: not all is in it; `hid`: a secret was left out."""

    __slots__ = ("_parts", "_room", "cut", "hid")

    def __init__(self, limit: int) -> None:
        self.cut = False
        self.hid = False
        self._parts: list[bytes] = []
        self._room = limit

    @property
    def room(self) -> int:
        """Bytes that may be added yet."""
        return self._room

    def add(self, text: str) -> None:
        """Write on.

        Raises:
            FullError: what was beyond the limit was left out.
        """
        piece = text.encode("utf-8", "replace")
        self._parts.append(piece[: self._room])
        self._room -= len(piece)
        if self._room < 0:
            self._room, self.cut = 0, True
            raise FullError

    def done(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)


class _Level(NamedTuple):
    elements: Iterator[Element]
    array: bool
    closing: str
    hidden: frozenset[bytes]


def write_members(out: Text, data: bytes, place: tuple[int, int], hidden: frozenset[bytes], closing: str = "}") -> None:
    """Write the document at a place, but for its opening brace; members of the names `hidden` without their values.

    The place: where the document begins, and where its surroundings end.

    Raises:
        FullError, ShortError, MalformedError: after what comes before that was written.
    """
    stack = [_Level(bson.elements(data, *place), array=False, closing=closing, hidden=hidden | _CREDENTIALS)]
    comma = ""
    while stack:
        level = stack[-1]
        element = next(level.elements, None)
        if element is None:
            stack.pop()
            out.add(level.closing)
            comma = ", "
            continue
        out.add(comma if level.array else comma + quoted(element.name[: out.room]) + ": ")
        comma = ", "
        if element.name in level.hidden and not level.array:
            out.hid = True
            out.add(f'"{HIDDEN}"')
        elif element.kind not in _NESTED:
            out.add(_scalar(data, element, out.room))
        elif len(stack) >= DEPTH:
            out.cut = True
            out.add(_DEEPER)
        else:
            opening, below = _descend(data, element, level, len(stack), out.room)
            out.add(opening)
            stack.append(below)
            comma = ""


_NESTED: Final = frozenset((bson.DOCUMENT, bson.ARRAY, bson.CODE_WITH_SCOPE))


def _descend(data: bytes, element: Element, level: _Level, depth: int, room: int) -> tuple[str, _Level]:
    hidden = _CREDENTIALS
    if element.name == _LOGIN:
        hidden = hidden | SECRETS | KEYS
    elif depth == 1 and element.name in _WRAPPERS:
        hidden = level.hidden
    if element.kind == bson.CODE_WITH_SCOPE:
        size = bson.int32(data, element.start + 4)
        scope = element.start + 8 + size
        if size < 1 or scope >= element.end:
            raise bson.MalformedError
        code = quoted(data[element.start + 8 : scope - 1][:room])
        inner = bson.elements(data, scope, element.end)
        return f'{{"$code": {code}, "$scope": {{', _Level(inner, array=False, closing="}}", hidden=hidden)
    array = element.kind == bson.ARRAY
    inner = bson.elements(data, element.start, element.end)
    return "[" if array else "{", _Level(inner, array, "]" if array else "}", hidden)


def quoted(value: bytes) -> str:
    """Text as a JSON string; what is not UTF-8 is shown as escapes."""
    return json.dumps(value.decode("utf-8", "backslashreplace"), ensure_ascii=False)


def _scalar(data: bytes, element: Element, room: int) -> str:
    kind, start, end = element.kind, element.start, element.end
    if kind in bson.STRINGS:
        value = quoted(data[start + 4 : min(end - 1, start + 5 + room)])
        return {bson.CODE: f'{{"$code": {value}}}', bson.SYMBOL: f'{{"$symbol": {value}}}'}.get(kind, value)
    if kind == bson.BINARY:
        if start + 5 > len(data):
            raise ShortError
        encoded = base64.b64encode(data[start + 5 : min(end, start + 5 + room)]).decode()
        return f'{{"$binary": {{"base64": "{encoded}", "subType": "{data[start + 4]:02x}"}}}}'
    if end > len(data):
        raise ShortError
    return _fixed(kind, data, start, end)


def _fixed(kind: int, data: bytes, start: int, end: int) -> str:
    match kind:
        case bson.DOUBLE:
            return _double(unpack_from("<d", data, start)[0])
        case bson.INT32 | bson.INT64:
            return str(int.from_bytes(data[start:end], "little", signed=True))
        case bson.DATE:
            return _date(int.from_bytes(data[start:end], "little", signed=True))
        case bson.BOOLEAN:
            return "true" if data[start] else "false"
        case bson.OBJECT_ID:
            return f'{{"$oid": "{data[start:end].hex()}"}}'
        case bson.DECIMAL128:
            return f'{{"$numberDecimal": "{_decimal(data[start:end])}"}}'
    return _CONSTANTS.get(kind) or _rare(kind, data, start, end)


_CONSTANTS: Final = {
    bson.NULL: "null",
    bson.UNDEFINED: '{"$undefined": true}',
    bson.MIN_KEY: '{"$minKey": 1}',
    bson.MAX_KEY: '{"$maxKey": 1}',
}


def _rare(kind: int, data: bytes, start: int, end: int) -> str:
    if kind == bson.TIMESTAMP:
        increment, seconds = unpack_from("<II", data, start)
        return f'{{"$timestamp": {{"t": {seconds}, "i": {increment}}}}}'
    if kind == bson.REGEX:
        pattern, options = data[start : end - 1].split(b"\0")
        return f'{{"$regularExpression": {{"pattern": {quoted(pattern)}, "options": {quoted(options)}}}}}'
    name = quoted(data[start + 4 : end - 13])
    return f'{{"$dbPointer": {{"$ref": {name}, "$id": {{"$oid": "{data[end - 12 : end].hex()}"}}}}}}'


def _double(value: float) -> str:
    if isfinite(value):
        return repr(value)
    shown = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN is not itself
    return f'{{"$numberDouble": "{shown}"}}'


def _date(milliseconds: int) -> str:
    if not 0 <= milliseconds <= _LAST_DATE:
        return f'{{"$date": {{"$numberLong": "{milliseconds}"}}}}'
    shown = (_EPOCH + timedelta(milliseconds=milliseconds)).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{milliseconds % 1000:03}" if milliseconds % 1000 else ""
    return f'{{"$date": "{shown}{fraction}Z"}}'


def _decimal(value: bytes) -> str:
    """IEEE 754-2008 decimal128 with a binary significand (BID), least byte first."""
    low, high = unpack_from("<QQ", value)
    negative = high >> 63
    special = high >> 58 & 31
    if special >= 30:
        return "NaN" if special == 31 else "-Infinity" if negative else "Infinity"
    if high >> 61 & 3 == 3:  # a significand of more digits than there are, which stands for 0
        exponent, digits = high >> 47 & 0x3FFF, 0
    else:
        exponent, digits = high >> 49 & 0x3FFF, (high & (1 << 49) - 1) << 64 | low
        digits = digits if digits < 10**34 else 0
    return str(Decimal((negative, tuple(map(int, str(digits))), exponent - 6176)))
