"""What the client says: the contents of its messages. Passwords are not read, let alone kept."""

from struct import Struct
from typing import Final, NamedTuple

from fleetcap_streams.protocols.postgresql.values import shown
from fleetcap_streams.protocols.shown import VALUE_SIZE, VALUES, text

_INT16: Final = Struct(">H")
_INT32: Final = Struct(">i")
PARAMETERS: Final = 64  # of a startup


def string(body: bytes, at: int) -> tuple[bytes, int]:
    """The string at a place, and where it ends; one that was cut off goes as far as it came."""
    end = body.find(b"\0", at)
    return (body[at:], len(body)) if end < 0 else (body[at:end], end + 1)


def startup_parameters(body: bytes) -> dict[str, str]:
    """Names and values of a startup."""
    parameters: dict[str, str] = {}
    at = 8
    while at < len(body) and body[at] and len(parameters) < PARAMETERS:
        name, at = string(body, at)
        value, at = string(body, at)
        if not any(word in name.lower() for word in (b"password", b"token")):
            parameters[text(name)] = text(value)
    return parameters


class Parsed(NamedTuple):
    """A Parse message."""

    name: bytes
    statement: bytes
    types: list[int]


def parse(body: bytes) -> Parsed:
    """Content of Parse; cut short where the message was."""
    name, at = string(body, 0)
    statement, at = string(body, at)
    return Parsed(name, statement, _integers(body, at, 4))


class Bound(NamedTuple):
    """A Bind message; `values` are the first of `total` parameters."""

    portal: bytes
    statement: bytes
    values: list[str | None]
    total: int
    binary: bool  # whether the result is asked for in binary


def bind(body: bytes, types: list[int]) -> Bound:
    """Content of Bind, its values shown by the parameters' types."""
    portal, at = string(body, 0)
    statement, at = string(body, at)
    formats = _integers(body, at, 2)
    at += 2 + 2 * len(formats)
    count = _INT16.unpack_from(body, at)[0] if len(body) >= at + 2 else 0
    at += 2
    values: list[str | None] = []
    for place in range(count):
        if len(body) < at + 4:
            return Bound(portal, statement, values, count, binary=False)
        length = _INT32.unpack_from(body, at)[0]
        at += 4
        if place < VALUES:
            kind = types[place] if place < len(types) else 0
            binary = (formats[place] if place < len(formats) > 1 else formats[0] if formats else 0) == 1
            values.append(None if length < 0 else _value(body[at : at + length], kind, binary=binary))
        at += max(length, 0)
    return Bound(portal, statement, values, count, binary=1 in _integers(body, at, 2))


def _value(value: bytes, kind: int, *, binary: bool) -> str:
    if binary and len(value) > VALUE_SIZE:
        return text(shown(value[:VALUE_SIZE], 0, binary=True)) + "…"
    return text(shown(value, kind, binary=binary))


def _integers(body: bytes, at: int, size: int) -> list[int]:
    """A counted list, as far as it came."""
    if len(body) < at + 2:
        return []
    count = min(_INT16.unpack_from(body, at)[0], (len(body) - at - 2) // size)
    return [int.from_bytes(body[at + 2 + size * place : at + 2 + size * place + size], "big") for place in range(count)]
