"""Values of columns and parameters as text. Knows nothing of messages.

Source of the binary forms: the send functions of PostgreSQL's types; object ids: its catalog pg_type.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

_FLOAT4: Final = Struct(">f")
_FLOAT8: Final = Struct(">d")


def _integer(value: bytes) -> bytes:
    return str(int.from_bytes(value, "big", signed=True)).encode()


def _unsigned(value: bytes) -> bytes:
    return str(int.from_bytes(value, "big")).encode()


def _boolean(value: bytes) -> bytes:
    return b"f" if value == b"\0" else b"t"


def _float(form: Struct) -> Callable[[bytes], bytes]:
    return lambda value: repr(form.unpack(value)[0]).encode()


def _uuid(value: bytes) -> bytes:
    shown = value.hex()
    return "-".join((shown[:8], shown[8:12], shown[12:16], shown[16:20], shown[20:])).encode()


_BINARY: Final[Mapping[int, tuple[int, Callable[[bytes], bytes]]]] = {
    16: (1, _boolean),
    20: (8, _integer),
    21: (2, _integer),
    23: (4, _integer),
    26: (4, _unsigned),
    700: (4, _float(_FLOAT4)),
    701: (8, _float(_FLOAT8)),
    2950: (16, _uuid),
}
_TEXTS: Final = frozenset((18, 19, 25, 114, 142, 705, 1042, 1043))  # char, name, text, json, xml, unknown, bpchar, varchar


def shown(value: bytes, oid: int, *, binary: bool) -> bytes:
    """A value as text. Binary ones of types unknown here are shown in hexadecimal, as PostgreSQL shows bytea."""
    if not binary or oid in _TEXTS:
        return value
    size, convert = _BINARY.get(oid, (-1, None))
    if convert is not None and size == len(value):
        return convert(value)
    return b"\\x" + value.hex().encode()
