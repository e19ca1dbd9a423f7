"""The chunked transfer coding (RFC 9112 section 7.1): the small pieces between a body's bytes, read one at a time."""

import re
from typing import Final, NamedTuple

from fleetcap_streams.protocols.http1.head import blank_line, looks_like_field, pairs, read_fields

NEED_MORE: Final = -1
NO_LINE_END: Final = -2
LINE: Final = 4 * 1024  # longest size line, extensions included: nobody sends longer ones but to attack

# Sixteen digits are 64 bits: more would be a number no peer can mean.
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")


class Need(NamedTuple):
    """More bytes are needed."""


class Broken(NamedTuple):
    """It is not what belongs here."""


class Size(NamedTuple):
    """A chunk of so many bytes begins at `next`; 0: the trailers do."""

    size: int
    next: int


class Trailers(NamedTuple):
    """The fields behind the last chunk; the message ends at `next`."""

    pairs: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    next: int


NEED: Final = Need()
BROKEN: Final = Broken()


def read_size(data: bytes, pos: int) -> Size | Need | Broken:
    """Read a size line with its extensions."""
    match = _SIZE.match(data, pos, pos + LINE)
    if match:
        return Size(int(match[1], 16), match.end())
    whole = len(data) - pos >= LINE or data.find(b"\n", pos) >= 0
    return BROKEN if whole else NEED


def read_end(data: bytes, pos: int) -> int:
    """Where the line end behind a chunk's bytes is over; or one of the two constants."""
    if data.startswith(b"\r\n", pos):
        return pos + 2
    if data.startswith(b"\n", pos):
        return pos + 1
    return NEED_MORE if data[pos:] == b"\r" else NO_LINE_END


def read_trailers(data: bytes, pos: int, limit: int) -> Trailers | Need | Broken:
    """Read the trailer section, `limit` bytes at most. A line in it that is no field belongs to something else."""
    after = read_end(data, pos)
    if after >= 0:
        return Trailers((), (), after)
    end = blank_line(data, pos, limit)
    if end < 0:
        return NEED if len(data) - pos <= limit else BROKEN
    block = data[pos:end]
    if not looks_like_field(block):
        return BROKEN
    fields, said = read_fields(block)
    if not all(field.pair[0] for field in fields):
        return BROKEN
    return Trailers(pairs(fields), said, end)
