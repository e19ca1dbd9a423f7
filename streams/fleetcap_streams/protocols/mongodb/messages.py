"""One message taken apart: its sections to text and facts, compressed or not, whole or only its beginning."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.mongodb import bson, facts, json_text, wire
from fleetcap_streams.protocols.mongodb.bson import MalformedError, ShortError
from fleetcap_streams.protocols.mongodb.compression import NAMES, CompressionError, decompress
from fleetcap_streams.protocols.mongodb.json_text import FullError, Text
from fleetcap_streams.protocols.mongodb.wire import Header
from fleetcap_streams.protocols.shown import VALUES, text

_NO_MORE: Final = (ShortError, FullError)


@dataclass(slots=True)
class Said:
    """What a message says. `code` is that of the message in an OP_COMPRESSED; `broken`: it is not what its header says.

    `asks` is None where it alone does not tell; `again`: after it the peer says more, which nobody asks for.
    """

    header: Header
    code: int
    text: Text
    told: dict[str, Attribute] = field(default_factory=dict)
    asks: bool | None = None
    again: bool = False
    exhaust: bool = False
    broken: bool = False


_Reader: TypeAlias = Callable[[Said, bytes, int, int], None]
_Place: TypeAlias = tuple[int, int]
_Sequence: TypeAlias = tuple[bytes, int, int]


def read(data: bytes, body_limit: int, decompressed_limit: int) -> Said:
    """Read a message of which at least the header is there."""
    header = wire.read_header(data)
    said = Said(header, header.code, Text(body_limit))
    at, end = wire.HEADER, header.size
    try:
        if header.code == wire.COMPRESSED:
            data, at, end = _decompressed(said, data, decompressed_limit)
        _READERS[said.code](said, data, at, end)
    except _NO_MORE:
        said.text.cut = True
    except (MalformedError, CompressionError):
        said.broken = True
    said.told = {"operation": wire.NAMES[said.code], "request_id": header.request_id, **said.told}
    return said


def _decompressed(said: Said, data: bytes, limit: int) -> tuple[bytes, int, int]:
    header = said.header
    if len(data) < wire.COMPRESSED_HEADER:
        raise ShortError
    said.code, size = bson.int32(data, wire.HEADER), bson.int32(data, wire.HEADER + 4)
    compressor = data[wire.HEADER + 8]
    said.told["compressor"] = NAMES[compressor]
    if said.code != wire.MSG:
        said.asks = said.code != wire.REPLY
    elif header.response_to:
        said.asks = False
    inner = decompress(compressor, data[wire.COMPRESSED_HEADER :], min(size, limit))
    if len(data) == header.size and len(inner) < min(size, limit):
        raise CompressionError
    return inner, 0, size


def _msg(said: Said, data: bytes, at: int, end: int) -> None:
    said.asks = None if said.header.response_to == 0 else False
    flags = bson.int32(data, at) & 0xFFFFFFFF
    said.again = bool(flags & wire.MORE_TO_COME)
    shown = {"more_to_come": wire.MORE_TO_COME, "exhaust_allowed": wire.EXHAUST_ALLOWED, "checksum": wire.CHECKSUM}
    said.told |= {name: True for name, bit in shown.items() if flags & bit}
    body, sequences, fault = _sections(data, at + 4, end - (4 if flags & wire.CHECKSUM else 0))
    if body is not None:
        _command_or_reply(said, data, *body)
    for name, start, stop in sequences:
        count = None if fault else _count(data, start, stop)
        if name in facts.COUNTED and count is not None:
            said.told["documents"] = count
    said.text.add("{")
    if body is not None:
        _write(said, data, *body, closing="")
    for place, (name, start, stop) in enumerate(sequences):
        said.text.add((", " if place or body is not None else "") + json_text.quoted(name) + ": [")
        _write_all(said, data, (start, stop), ", ")
        said.text.add("]")
    if fault is not None:
        raise fault
    said.text.add("}")


def _sections(data: bytes, at: int, end: int) -> tuple[_Place | None, list[_Sequence], Exception | None]:
    """The body's place, each document sequence's name and place, and what keeps from reading further."""
    body: _Place | None = None
    sequences: list[_Sequence] = []
    try:
        while at < end:
            if at >= len(data):
                raise ShortError  # noqa: TRY301 - the one way out for all that is short
            start, kind = at + 1, data[at]
            size = bson.document_size(data, start, end)
            at = start + size
            if kind == 0 and body is None:
                body = (start, at)
            elif kind == 1 and len(sequences) < VALUES:
                stop = bson.cstring_end(data, start + 4, at)
                sequences.append((data[start + 4 : stop], stop + 1, at))
            else:
                raise MalformedError  # noqa: TRY301 - as above
    except (ShortError, MalformedError) as error:
        return body, sequences, error
    return body, sequences, None if body is not None else MalformedError()


def _command_or_reply(said: Said, data: bytes, at: int, end: int) -> None:
    members = facts.Members(data, at, end)
    if said.asks is None and (b"$db" in members or b"ok" in members):
        said.asks = b"$db" in members
    said.told |= facts.reply(members) if said.asks is False else facts.command(members)


def _write(said: Said, data: bytes, at: int, end: int, closing: str = "}") -> None:
    hidden = json_text.SECRETS
    if facts.Members(data, at, end).logs_in:
        hidden = hidden | json_text.KEYS
    json_text.write_members(said.text, data, (at, end), hidden, closing)


def _write_all(said: Said, data: bytes, place: _Place, between: str = "\n", hidden: frozenset[bytes] = frozenset()) -> None:
    """Documents one after the other until the place ends."""
    at, end = place
    first = True
    while at < end:
        size = bson.document_size(data, at, end)
        said.text.add("{" if first else between + "{")
        json_text.write_members(said.text, data, (at, at + size), hidden)
        at += size
        first = False


def _count(data: bytes, at: int, end: int) -> int | None:
    count = 0
    try:
        while at < end:
            at += bson.document_size(data, at, end)
            count += 1
    except (ShortError, MalformedError):
        return None
    return count


def _reply(said: Said, data: bytes, at: int, end: int) -> None:
    said.asks = False
    flags, rows = bson.int32(data, at), bson.int32(data, at + 16)
    cursor = int.from_bytes(data[at + 4 : at + 12], "little", signed=True)
    members = facts.Members(data, at + 20, end) if rows == 1 else None
    told: dict[str, Attribute] = {"cursor_id": cursor, "rows": rows}
    if members is not None and b"ok" in members:
        told = facts.reply(members)
    if members is not None and flags & 2:  # QueryFailure: the one document tells why
        told |= facts.errors(members)
    if flags & 1:
        told |= {"error": "cursor not found", "error_name": "CursorNotFound", "error_code": 43}
    said.told |= told
    said.again = cursor != 0
    hidden = json_text.SECRETS if members is not None and b"ok" in members else frozenset()
    _write_all(said, data, (at + 20, end), hidden=hidden)


def _namespace(said: Said, data: bytes, at: int, end: int, command: str) -> int:
    """Tell the database and the collection that stand there; where that ends."""
    stop = bson.cstring_end(data, at, end)
    database, _, collection = data[at:stop].partition(b".")
    said.asks = True
    said.told |= {"command": command, "database": text(database), "collection": text(collection)}
    return stop + 1


def _query(said: Said, data: bytes, at: int, end: int) -> None:
    said.exhaust = bool(bson.int32(data, at) & wire.EXHAUST)
    at = _namespace(said, data, at + 4, end, "find") + 8
    members = facts.Members(data, at, end)
    if said.told["collection"] == "$cmd":
        del said.told["collection"]
        said.told |= facts.command(members.inner())
    said.text.add("{")
    _write(said, data, at, end)


def _insert(said: Said, data: bytes, at: int, end: int) -> None:
    at = _namespace(said, data, at + 4, end, "insert")
    count = _count(data, at, end)
    if count is not None:
        said.told["documents"] = count
    _write_all(said, data, (at, end))


def _changes(command: str) -> _Reader:
    def read_change(said: Said, data: bytes, at: int, end: int) -> None:
        at = _namespace(said, data, at + 4, end, command)
        _write_all(said, data, (at + 4, end))

    return read_change


def _get_more(said: Said, data: bytes, at: int, end: int) -> None:
    at = _namespace(said, data, at + 4, end, "getMore")
    bson.int32(data, at + 8)
    said.told["cursor_id"] = int.from_bytes(data[at + 4 : at + 12], "little", signed=True)


def _kill_cursors(said: Said, data: bytes, at: int, end: int) -> None:
    said.asks = True
    places: Iterable[int] = range(at + 8, min(end, len(data)) - 7, 8)
    numbers = [int.from_bytes(data[place : place + 8], "little", signed=True) for place in places]
    said.told |= {"command": "killCursors", "cursors": numbers[:VALUES]}


_READERS: Final[dict[int, _Reader]] = {
    wire.MSG: _msg,
    wire.REPLY: _reply,
    wire.QUERY: _query,
    wire.INSERT: _insert,
    wire.UPDATE: _changes("update"),
    wire.DELETE: _changes("delete"),
    wire.GET_MORE: _get_more,
    wire.KILL_CURSORS: _kill_cursors,
}
