"""What commands and replies say of themselves: names, counts, errors. Reads documents, shows nothing but those facts."""

from collections.abc import Iterable
from typing import Final

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.mongodb import bson
from fleetcap_streams.protocols.mongodb.bson import Element, MalformedError, ShortError
from fleetcap_streams.protocols.shown import text

_ERROR: Final = 1024  # bytes shown of an error's text
_MOST_MEMBERS: Final = 1000  # looked at in one document; commands and replies have fewer than a hundred

# Commands whose first member names the collection they work on.
_ON_COLLECTIONS: Final = frozenset(
    b"aggregate cloneCollectionAsCapped collMod collStats collstats compact convertToCapped count create createIndexes "
    b"createSearchIndexes delete deleteIndexes distinct drop dropIndexes dropSearchIndex find findAndModify findandmodify "
    b"geoNear geoSearch getShardVersion insert killCursors listIndexes mapReduce mapreduce parallelCollectionScan planCacheClear "
    b"planCacheClearFilters planCacheListFilters planCacheSetFilter reIndex update updateSearchIndex validate".split()
)
_BATCHES: Final = (b"firstBatch", b"nextBatch")
COUNTED: Final = (b"documents", b"updates", b"deletes")
_LOGINS: Final = frozenset((b"authenticate", b"copydb", b"copydbgetnonce"))
_WRAPPERS: Final = frozenset((b"$query", b"query"))


class Members:
    """The members of one document by name, as far as they are there and well-formed."""

    __slots__ = ("_by_name", "_data", "first")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._by_name: dict[bytes, Element] = {}
        self.first: Element | None = None
        for count, element in enumerate(_as_far_as_there(data, at, end)):
            self.first = self.first or element
            if count >= _MOST_MEMBERS:
                break
            self._by_name.setdefault(element.name, element)

    def __contains__(self, name: bytes) -> bool:
        return name in self._by_name

    def number(self, name: bytes) -> int | None:
        """A number, as a whole one; None: there is none."""
        element = self._by_name.get(name)
        value = None if element is None else bson.number(self._data, element)
        return int(value) if value is not None and abs(value) < 1 << 63 else None

    def string(self, name: bytes) -> bytes | None:
        """A string; None: there is none."""
        element = self._by_name.get(name)
        return None if element is None else bson.string(self._data, element)

    def document(self, name: bytes) -> "Members | None":
        """A document or array; None: there is none."""
        element = self._by_name.get(name)
        if element is None or element.kind not in (bson.DOCUMENT, bson.ARRAY):
            return None
        return Members(self._data, element.start, element.end)

    def length(self, name: bytes) -> int | None:
        """How many members an array has; None: there is none, or not all of it."""
        element = self._by_name.get(name)
        if element is None or element.kind != bson.ARRAY:
            return None
        try:
            return sum(1 for _ in bson.elements(self._data, element.start, element.end))
        except (ShortError, MalformedError):
            return None

    def inner(self) -> "Members":
        """The command itself, where it is wrapped into `$query`."""
        first = self.first
        if first is None or first.name not in _WRAPPERS or first.kind != bson.DOCUMENT:
            return self
        return Members(self._data, first.start, first.end)

    @property
    def command(self) -> bytes:
        """The first member's name."""
        return b"" if self.first is None else self.first.name

    @property
    def logs_in(self) -> bool:
        """Whether it is one of the commands that log in without SASL."""
        return self.inner().command in _LOGINS


def _as_far_as_there(data: bytes, at: int, end: int) -> Iterable[Element]:
    try:
        yield from bson.elements(data, at, end)
    except (ShortError, MalformedError):
        return


def command(members: Members) -> dict[str, Attribute]:
    """Of a command's document."""
    name = members.command
    told: dict[str, Attribute] = {"command": text(name)}
    database = members.string(b"$db")
    collection = members.string(name) if name in _ON_COLLECTIONS else members.string(b"collection")
    if database is not None:
        told["database"] = text(database)
    if collection is not None:
        told["collection"] = text(collection)
    for counted in COUNTED:
        count = members.length(counted)
        if count is not None:
            told["documents"] = count
    cursor = members.number(name) if name == b"getMore" else None
    if cursor is not None:
        told["cursor_id"] = cursor
    return told


def reply(members: Members) -> dict[str, Attribute]:
    """Of a reply's document."""
    told: dict[str, Attribute] = {}
    for name, shown in ((b"ok", "ok"), (b"n", "n"), (b"nModified", "modified")):
        count = members.number(name)
        if count is not None:
            told[shown] = count
    cursor = members.document(b"cursor")
    if cursor is not None:
        told |= _cursor(cursor)
    return told | errors(members)


def _cursor(cursor: Members) -> dict[str, Attribute]:
    told: dict[str, Attribute] = {}
    number = cursor.number(b"id")
    if number is not None:
        told["cursor_id"] = number
    for batch in _BATCHES:
        rows = cursor.length(batch)
        if rows is not None:
            told["rows"] = rows
    return told


def errors(members: Members) -> dict[str, Attribute]:
    """Why it failed: the reply's own error, else the first of its writes', else that of the write concern."""
    told: dict[str, Attribute] = {}
    count = members.length(b"writeErrors")
    if count:
        told["write_errors"] = count
    failed = [members] if b"errmsg" in members or b"$err" in members else []
    writes = members.document(b"writeErrors")
    first = None if writes is None else writes.document(b"0")
    concern = members.document(b"writeConcernError")
    failed += [each for each in (first, concern) if each is not None]
    return told | (_error(failed[0]) if failed else {})


def _error(members: Members) -> dict[str, Attribute]:
    told: dict[str, Attribute] = {}
    code, name = members.number(b"code"), members.string(b"codeName")
    if code is not None:
        told["error_code"] = code
    if name is not None:
        told["error_name"] = text(name)
    told["error"] = text(members.string(b"errmsg") or members.string(b"$err") or b"", _ERROR)
    return told
