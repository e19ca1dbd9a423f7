"""Arguments of methods, properties of contents and field tables, from bytes to values that can be shown and kept.

What comes out is bounded: strings by `VALUE_SIZE`, tables by `VALUES` members, nesting by `DEPTH`, all of a frame by `MOST`. It
is of strings, numbers, lists and dicts only, so that a snapshot gives back the same.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.shown import VALUE_SIZE, VALUES, text

DEPTH: Final = 8  # tables and arrays in each other
MOST: Final = 256  # values shown of one frame
SECRETS: Final = frozenset(("response", "challenge", "new_secret"))

# RabbitMQ's types, which are those that clients write; the specification's own list was never implemented as it stands.
_NUMBERS: Final = {
    ord("b"): Struct(">b"),
    ord("B"): Struct(">B"),
    ord("s"): Struct(">h"),
    ord("U"): Struct(">h"),
    ord("u"): Struct(">H"),
    ord("I"): Struct(">i"),
    ord("i"): Struct(">I"),
    ord("l"): Struct(">q"),
    ord("L"): Struct(">q"),
    ord("f"): Struct(">f"),
    ord("d"): Struct(">d"),
    ord("T"): Struct(">Q"),
}
_SIZES: Final = {"o": 1, "h": 2, "l": 4, "L": 8}
# In the order of their flags, from bit 15 down.
_PROPERTIES: Final = (
    ("content_type", "s"),
    ("content_encoding", "s"),
    ("headers", "t"),
    ("delivery_mode", "o"),
    ("priority", "o"),
    ("correlation_id", "s"),
    ("reply_to", "s"),
    ("expiration", "s"),
    ("message_id", "s"),
    ("timestamp", "L"),
    ("type", "s"),
    ("user_id", "s"),
    ("app_id", "s"),
    ("cluster_id", "s"),
)


class ShortError(Exception):
    """The bytes end before what they say ends."""


class MalformedError(Exception):
    """They are not what they should be."""


class Reader:
    """Reads values one after the other. `told` grows as it does, so that what was there can be shown when it breaks off."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.at = at
        self.told: dict[str, Attribute] = {}
        self.hid = False
        self._data = data
        self._end = min(end, len(data))
        self._left = MOST

    def arguments(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Read a method's arguments.

        Raises:
            ShortError: not all of them are there.
            MalformedError: a table is none.
        """
        bit = 0
        for name, kind in wanted:
            value: Attribute
            if kind == "b":
                if bit % 8 == 0:
                    self._take(1)
                value = bool(self._data[self.at - 1] >> bit % 8 & 1)
                bit += 1
            else:
                value, bit = self._argument(kind), 0
            self._tell(name, value)

    def properties(self) -> None:
        """Read a content's flags and properties; raises as `arguments` does."""
        flags = self._number(2)
        if flags & 3:  # further flags, for properties that no version has
            raise MalformedError
        for place, (name, kind) in enumerate(_PROPERTIES):
            if flags & 1 << 15 - place:
                self._tell(name, self._argument(kind))

    def _tell(self, name: str, value: Attribute) -> None:
        if name in SECRETS:
            self.hid = True
        elif not name.startswith("_") and value != {}:
            self.told[name] = value

    def _argument(self, kind: str) -> Attribute:
        if kind == "t":
            return self._table(0)
        if kind in _SIZES:
            return self._number(_SIZES[kind])
        return text(self._take(self._number(1 if kind == "s" else 4)))

    def _take(self, size: int) -> bytes:
        begin = self.at
        if size > self._end - begin:
            raise ShortError
        self.at = begin + size
        return self._data[begin : begin + size]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def _table(self, depth: int) -> dict[str, Attribute]:
        end = self._inner_end()
        found: dict[str, Attribute] = {}
        while self.at < end and depth < DEPTH and len(found) < VALUES and self._left > 0:
            name = text(self._take(self._number(1)))
            found[name] = self._value(depth + 1)
        self._leave(end)
        return found

    def _array(self, depth: int) -> list[Attribute]:
        end = self._inner_end()
        found: list[Attribute] = []
        while self.at < end and depth < DEPTH and len(found) < VALUES and self._left > 0:
            found.append(self._value(depth + 1))
        self._leave(end)
        return found

    def _inner_end(self) -> int:
        end = self._number(4) + self.at
        if end > self._end:
            raise ShortError
        return end

    def _leave(self, end: int) -> None:
        if self.at > end:
            raise MalformedError
        self.at = end

    def _value(self, depth: int) -> Attribute:
        self._left -= 1
        kind = self._take(1)[0]
        number = _NUMBERS.get(kind)
        if number is not None:
            (value,) = number.unpack(self._take(number.size))
            return value  # type: ignore[no-any-return] # a number, by its format
        match kind:
            case 0x53 | 0x78:  # S, x
                return text(self._take(self._number(4)), VALUE_SIZE)
            case 0x74:  # t
                return self._take(1) != b"\0"
            case 0x46:  # F
                return self._table(depth)
            case 0x41:  # A
                return self._array(depth)
            case 0x44:  # D
                return self._decimal()
            case 0x56:  # V
                return None
        raise MalformedError

    def _decimal(self) -> str:
        places, value = self._number(1), int.from_bytes(self._take(4), "big", signed=True)
        digits = f"{abs(value):0{places + 1}}"
        shown = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits
        return f"-{shown}" if value < 0 else shown
