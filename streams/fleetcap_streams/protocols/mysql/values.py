"""Values of rows and parameters as text. Source: MySQL's documentation, "Binary Protocol Value"."""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from fleetcap_streams.protocols.mysql import wire

UNSIGNED: Final = 0x8000  # in a parameter's type
_FLOAT: Final = Struct("<f")
_DOUBLE: Final = Struct("<d")
_DATE: Final = Struct("<HBB")
_TIME: Final = Struct("<BBB")
_NULL_TYPE: Final = 6
_INTEGERS: Final = {1: 1, 2: 2, 3: 4, 8: 8, 9: 4, 13: 2}  # tiny, short, long, long long, int24, year
_TEMPORAL: Final = (7, 10, 12)  # timestamp, date, datetime
_TIME_TYPE: Final = 11


def _float(form: Struct) -> Callable[[bytes], bytes]:
    return lambda value: repr(form.unpack(value)[0]).encode()


_FLOATS: Final[Mapping[int, tuple[int, Callable[[bytes], bytes]]]] = {4: (4, _float(_FLOAT)), 5: (8, _float(_DOUBLE))}


def binary(kind: int, data: bytes, at: int, *, unsigned: bool) -> tuple[bytes | None, int]:
    """The value of a type at a place as text, and where it ends; None for one that cannot be read."""
    if kind == _NULL_TYPE:
        return None, at
    if kind in _INTEGERS:
        end = at + _INTEGERS[kind]
        number = int.from_bytes(data[at:end], "little", signed=not unsigned)
        return (str(number).encode() if end <= len(data) else None), end
    if kind in _FLOATS:
        size, convert = _FLOATS[kind]
        return (convert(data[at : at + size]) if at + size <= len(data) else None), at + size
    if kind in _TEMPORAL or kind == _TIME_TYPE:
        value, end = wire.string(data, at)
        if value is None or end > len(data):
            return None, end
        return (_time(value) if kind == _TIME_TYPE else _moment(value)), end
    return wire.string(data, at)


def _moment(value: bytes) -> bytes:
    """A date, with a time of day and parts of a second where they are not zero."""
    if len(value) < 4:
        return b"0000-00-00"
    shown = "{:04d}-{:02d}-{:02d}".format(*_DATE.unpack_from(value))
    if len(value) >= 7:
        shown += " {:02d}:{:02d}:{:02d}".format(*_TIME.unpack_from(value, 4))
    return (shown + _fraction(value, 7)).encode()


def _time(value: bytes) -> bytes:
    if len(value) < 8:
        return b"00:00:00"
    days = int.from_bytes(value[1:5], "little")
    hours, minutes, seconds = _TIME.unpack_from(value, 5)
    return f"{'-' if value[0] else ''}{days * 24 + hours:02d}:{minutes:02d}:{seconds:02d}{_fraction(value, 8)}".encode()


def _fraction(value: bytes, at: int) -> str:
    return f".{int.from_bytes(value[at : at + 4], 'little'):06d}" if len(value) >= at + 4 else ""


def text_row(data: bytes) -> list[bytes]:
    """Cells of a row in the text protocol."""
    cells: list[bytes] = []
    at = 0
    while at < len(data):
        value, at = wire.string(data, at)
        cells.append(b"NULL" if value is None else value)
    return cells


def binary_row(data: bytes, types: list[int]) -> list[bytes]:
    """Cells of a row in the binary protocol: a byte, the NULLs' bits from the third on, then the values."""
    cells: list[bytes] = []
    at = 1 + (len(types) + 9) // 8
    for place, kind in enumerate(types):
        bit = place + 2
        if len(data) <= 1 + bit // 8 or at > len(data):
            break
        if data[1 + bit // 8] >> bit % 8 & 1:
            cells.append(b"NULL")
            continue
        value, at = binary(kind & 0xFF, data, at, unsigned=bool(kind & UNSIGNED))
        cells.append(b"NULL" if value is None else value)
    return cells
