"""What the server says in answer to one request, while it comes in: rows counted, the first of them kept, outcome, notices.

Bounded by `Limits.body` and a few numbers. Knows nothing of exchanges.
"""

from struct import Struct
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.postgresql.frontend import string
from fleetcap_streams.protocols.postgresql.values import shown
from fleetcap_streams.protocols.shown import VALUE_SIZE, text

_INT16: Final = Struct(">H")
_INT32: Final = Struct(">i")
_COLUMN: Final = Struct(">IHIHIH")  # table, attribute, type, type size, modifier, format

SOME: Final = 16  # tags, notices, parameters kept
COLUMNS: Final = 1664  # of a row; PostgreSQL's own limit
STATUS: Final = {ord("I"): "idle", ord("T"): "in_transaction", ord("E"): "failed"}
METHODS: Final = {
    2: "kerberos",
    3: "cleartext",
    5: "md5",
    6: "scm",
    7: "gss",
    9: "sspi",
    10: "sasl",
}


class Column(msgspec.Struct, array_like=True):
    """One column of a result."""

    name: str
    oid: int
    binary: bool


class Result(msgspec.Struct, array_like=True):
    """The answer to one request."""

    start_ns: int
    size: int = 0  # on the wire
    missing: int = 0
    rows: int = 0
    affected: int = -1
    tags: list[str] = []
    columns: list[Column] = []
    binary: bool = False  # asked for so by Bind
    body: bytearray = msgspec.field(default_factory=bytearray)
    cut: bool = False
    error: dict[str, str] = {}
    notices: list[str] = []
    parameters: dict[str, str] = {}
    methods: list[str] = []
    process: int = 0
    copy: str = ""
    copy_bytes: int = 0
    suspended: bool = False
    status: str = ""

    def show(self, line: bytes, limit: int) -> None:
        """Add a line to the body."""
        room = limit - len(self.body)
        if len(line) >= room:
            self.cut = True
            line = line[: max(room - 1, 0)]
        if room > 0:
            self.body += line + b"\n"

    def describe(self, body: bytes, limit: int) -> None:
        """A RowDescription: columns of the rows to come."""
        self.columns = []
        at = 2
        for _ in range(min(_INT16.unpack_from(body)[0] if len(body) > 1 else 0, COLUMNS)):
            name, at = string(body, at)
            if len(body) < at + _COLUMN.size:
                break
            _, _, oid, _, _, form = _COLUMN.unpack_from(body, at)
            self.columns.append(Column(text(name, 64), oid, form == 1))
            at += _COLUMN.size
        self.show("\t".join(column.name for column in self.columns).encode(), limit)

    def row(self, body: bytes, limit: int) -> None:
        """A DataRow; it is taken apart only while there is room to show it."""
        self.rows += 1
        if len(self.body) >= limit:
            self.cut = True
        elif len(body) >= 2:
            self.show(b"\t".join(self._cells(body)), limit)

    def _cells(self, body: bytes) -> list[bytes]:
        cells = []
        at = 2
        for place in range(_INT16.unpack_from(body)[0]):
            if len(body) < at + 4:
                break
            length = _INT32.unpack_from(body, at)[0]
            at += 4
            cells.append(b"NULL" if length < 0 else self._cell(body[at : at + length], place))
            at += max(length, 0)
        return cells

    def _cell(self, value: bytes, place: int) -> bytes:
        if place < len(self.columns):
            column = self.columns[place]
            return shown(value, column.oid, binary=column.binary or self.binary)
        # The columns were not described here: what is not text must be binary.
        return shown(value, 0, binary=self.binary and any(byte < 0x20 for byte in value[:VALUE_SIZE]))

    def tag(self, body: bytes, limit: int) -> None:
        """A CommandComplete, as `SELECT 5` or `INSERT 0 1`: a number at the end counts rows."""
        tag = string(body, 0)[0]
        if len(self.tags) < SOME:
            self.tags.append(text(tag, 64))
        words = tag.split()
        if len(words) > 1 and words[-1].isdigit() and words[0] not in (b"SELECT", b"FETCH", b"MOVE"):
            self.affected = max(self.affected, 0) + int(words[-1][:18])
        self.show(tag, limit)

    def fail(self, fields: dict[str, str], limit: int) -> None:
        """An ErrorResponse."""
        self.error = self.error or fields
        self.show(f"{fields.get('severity', 'ERROR')} {fields.get('error_code', '')}: {fields.get('error', '')}".encode(), limit)

    def attributes(self) -> dict[str, Attribute]:
        """The facts, those that say something."""
        facts: dict[str, Attribute] = {**self.error, **self._of_statements(), **self._of_connection()}
        return {name: value for name, value in facts.items() if value not in ("", [], {}, None)}

    def _of_statements(self) -> dict[str, Attribute]:
        return {
            "rows": self.rows,
            "affected_rows": self.affected if self.affected >= 0 else None,
            "command_tag": self.tags[-1] if self.tags else "",
            "command_tags": self.tags if len(self.tags) > 1 else [],
            "columns": [column.name for column in self.columns[:64]],
            "copy": self.copy,
            "copy_bytes": self.copy_bytes if self.copy else None,
            "suspended": self.suspended or None,
        }

    def _of_connection(self) -> dict[str, Attribute]:
        return {
            "notices": list(self.notices),
            "transaction_status": self.status,
            "parameters": dict(self.parameters),
            "server_version": self.parameters.get("server_version", ""),
            "authentication": self.methods,
            "process_id": self.process or None,
        }


_FIELDS: Final = {ord("V"): "severity", ord("C"): "error_code", ord("M"): "error", ord("D"): "detail", ord("H"): "hint"}


def fields(body: bytes) -> dict[str, str]:
    """Fields of an ErrorResponse or NoticeResponse; the severity is the one that is never translated, where it is sent."""
    found: dict[str, str] = {}
    at = 0
    while at < len(body) and body[at]:
        kind = body[at]
        value, at = string(body, at + 1)
        if kind == ord("S"):
            found.setdefault("severity", text(value))
        elif kind in _FIELDS:
            found[_FIELDS[kind]] = text(value, 1024)
    return found
