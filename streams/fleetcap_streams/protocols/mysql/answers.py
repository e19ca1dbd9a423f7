"""What the server answers to one command, while it comes in: which packet means what depends on those before it.

    FIRST ─▶ over (OK, ERR, EOF), or
          ─▶ COLUMNS ─▶ [EOF] ─▶ ROWS ─▶ over, or FIRST for the next result
          ─▶ PREPARED: parameters ─▶ [EOF] ─▶ columns ─▶ [EOF] ─▶ over
          ─▶ INFILE: the client sends the file ─▶ FIRST

Whether EOF packets stand between (`deprecate_eof`) is agreed upon at the start; where that was not seen, it shows by what comes.
Bounded by `Limits.body` and a few numbers; knows nothing of exchanges.
"""

from enum import IntEnum
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Attribute
from fleetcap_streams.protocols.mysql.handshake import Capability
from fleetcap_streams.protocols.mysql.values import UNSIGNED, binary_row, text_row
from fleetcap_streams.protocols.mysql.wire import FULL, Command, integer, is_column, is_ok, string
from fleetcap_streams.protocols.shown import text

_EOF: Final = 5  # bytes of an EOF packet
_LONGEST_COUNT: Final = 10  # bytes of a column count, with MariaDB's flag
COLUMNS: Final = 4096  # of a result; MySQL's own limit
_MORE_RESULTS: Final = 0x0008
_CURSOR: Final = 0x0040
_STATE_CHANGED: Final = 0x4000
_IN_TRANSACTION: Final = 0x0001
_PROGRESS: Final = 0xFFFF  # MariaDB's ERR packet that is none
_UNSIGNED_FLAG: Final = 0x20
_ROWS_AT_ONCE: Final = (Command.STMT_FETCH, Command.BINLOG_DUMP, Command.BINLOG_DUMP_GTID)
_BINARY: Final = (Command.STMT_EXECUTE, Command.STMT_FETCH, Command.STMT_BULK_EXECUTE)


class Phase(IntEnum):
    """Where in an answer the next packet stands."""

    FIRST = 0
    COLUMNS = 1
    AFTER_COLUMNS = 2  # an EOF is due, or not
    ROWS = 3
    INFILE = 4
    OVER = 5
    TRAILING = 6  # over, or an EOF is to come: nobody knows
    MIDDLE = 7  # packets before it were not seen


class Wire(msgspec.Struct, array_like=True):
    """What the two sides have agreed upon; None and 0: not known."""

    deprecate_eof: bool | None = None
    capabilities: int = 0
    cached_metadata: bool | None = None  # MariaDB's: a result may come without its columns


class Answer(msgspec.Struct, array_like=True):
    """The answer to one command."""

    start_ns: int
    command: int = 0
    size: int = 0  # on the wire
    missing: int = 0
    phase: Phase = Phase.FIRST
    left: int = 0  # columns, or parameters first, still to be described
    after: int = 0  # columns to come after the parameters that are being described; -1: none
    names: list[str] = []
    types: list[int] = []
    parameters: int = 0  # of a prepared statement
    rows: int = 0
    results: int = 0
    affected: int = -1
    inserted: int = 0
    warnings: int = 0
    status: int = -1
    info: bytes = b""
    statement: int = -1
    error: bytes = b""
    error_code: int = 0
    sql_state: str = ""
    infile: str = ""
    infile_bytes: int = 0
    body: bytearray = msgspec.field(default_factory=bytearray)
    cut: bool = False

    def show(self, line: bytes, limit: int) -> None:
        """Add a line to the body."""
        room = limit - len(self.body)
        if len(line) >= room:
            self.cut = True
            line = line[: max(room - 1, 0)]
        if room > 0:
            self.body += line + b"\n"

    def take(self, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        """The next packet of it; `payload` are its first bytes, `length` is its true one."""
        if not payload:
            return
        first = payload[0]
        if first == 0xFF and length > 2:
            self._error(payload, limit)
            return
        match self.phase:
            case Phase.FIRST:
                self._first(first, payload, length, wire, limit)
            case Phase.COLUMNS:
                self._column(payload, length, wire, limit)
            case Phase.AFTER_COLUMNS | Phase.TRAILING:
                self._after_columns(first, payload, length, wire, limit)
            case Phase.ROWS:
                self._row(first, payload, length, wire, limit)
            case Phase.MIDDLE:
                self._middle(first, payload, length, wire, limit)
            case _:
                pass

    def _first(self, first: int, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        if self.command == Command.STATISTICS:
            self.show(payload, limit)
            self.phase = Phase.OVER
        elif self.command in _ROWS_AT_ONCE:
            self.phase = Phase.ROWS
            self._row(first, payload, length, wire, limit)
        elif first == 0 and self.command == Command.STMT_PREPARE and len(payload) >= 9:
            self._prepared(payload)
        elif first == 0 and length >= 7:
            self._ok(payload, wire, limit)
        elif first == 0xFE and length < 9:
            self._eof(payload)
        elif first == 0xFB:
            self.infile = text(payload[1:])
            self.phase = Phase.INFILE
        elif self.command == Command.FIELD_LIST:
            self.phase = Phase.COLUMNS
            self.left = COLUMNS
            self._column(payload, length, wire, limit)
        elif length <= _LONGEST_COUNT:
            self._column_count(payload, length, wire, limit)
        else:
            self.missing = self.missing or 1
            self.phase = Phase.MIDDLE
            self._middle(first, payload, length, wire, limit)

    def _middle(self, first: int, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        """Columns and rows tell themselves apart by their content, ends do by what stood before them."""
        if is_column(payload, length):
            self._describe(payload)
            self.left = -1
        elif first == 0xFE and length == _EOF and self.left < 0:
            self._headed(limit)
            self.left = 0
        elif is_ok(payload, length):
            self._ok(payload, wire, limit)
        else:
            self._row(first, payload, length, wire, limit)

    def _column_count(self, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        optional = bool(wire.capabilities & Capability.OPTIONAL_METADATA) and length == 2 and not wire.cached_metadata
        count, at = integer(payload, 1 if optional else 0)
        described = payload[0] if optional else payload[at] if length == at + 1 == len(payload) else 1
        self.results += 1
        self.left = min(max(count, 0), COLUMNS) if described else 0
        if self.left:
            self.names, self.types = [], []
            self.phase = Phase.COLUMNS
        else:
            self._headed(limit)
            self.phase = self._past_columns(wire)

    def _headed(self, limit: int) -> None:
        """The columns are known: begin to show the result."""
        if self.names:
            self.show("\t".join(self.names).encode(), limit)

    def _past_columns(self, wire: Wire) -> Phase:
        return Phase.ROWS if wire.deprecate_eof else Phase.AFTER_COLUMNS

    def _column(self, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        if self.command == Command.FIELD_LIST and payload[:1] == b"\xfe" and length < 9:
            self._eof(payload)
            return
        if payload[0] == 0xFE and length == _EOF:  # some columns were lost
            self.missing = self.missing or 1
            self._after_columns(0xFE, payload, length, wire, limit)
            return
        self._describe(payload)
        self.left -= 1
        if self.left:
            return
        if self.statement < 0:
            self._headed(limit)
            self.phase = self._past_columns(wire)
        elif wire.deprecate_eof:
            self._next_description()
        elif self.after > 0 or wire.deprecate_eof is False:
            self.phase = Phase.AFTER_COLUMNS
        else:
            self.phase = Phase.TRAILING

    def _describe(self, payload: bytes) -> None:
        """Name and type of a column; of a parameter they say nothing."""
        at, name = 0, b""
        for place in range(6):  # catalog, schema, table, its original, name, its original
            value, at = string(payload, at)
            if place == 4:
                name = value or b""
        extended = payload[at : at + 1] != b"\x0c"  # MariaDB's extended metadata stands before the fixed part
        if extended:
            _, at = string(payload, at)
        fixed = payload[at : at + 13]
        self.names.append(text(name, 64))
        kind = fixed[7] if len(fixed) > 8 else 0xFD
        self.types.append(kind | (UNSIGNED if len(fixed) > 9 and fixed[8] & _UNSIGNED_FLAG else 0))

    def _next_description(self) -> None:
        """Parameters are described: columns follow, if there are any."""
        if self.after:
            self.names, self.types = [], []
        self.left, self.after = max(self.after, 0), 0
        self.phase = Phase.COLUMNS if self.left else Phase.OVER

    def _after_columns(self, first: int, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        eof = first == 0xFE and length == _EOF
        if wire.deprecate_eof is None and not self.missing:
            wire.deprecate_eof = not eof
        if self.statement >= 0:
            self._next_description()
            if not eof and self.phase is Phase.COLUMNS:
                self._column(payload, length, wire, limit)
        elif not eof:
            self.phase = Phase.ROWS
            self._row(first, payload, length, wire, limit)
        else:
            self.phase = Phase.ROWS
            if int.from_bytes(payload[3:5], "little") & _CURSOR:
                self._eof(payload)

    def _row(self, first: int, payload: bytes, length: int, wire: Wire, limit: int) -> None:
        if first == 0xFE and length < FULL:
            if length < 7:
                self._eof(payload)
            else:
                self._ok(payload, wire, limit)
            return
        self.rows += 1
        if len(self.body) >= limit:
            self.cut = True
        elif self.command in _BINARY or (self.command == 0 and first == 0):
            self.show(b"\t".join(binary_row(payload, self.types)), limit)
        elif self.command not in _ROWS_AT_ONCE:
            self.show(b"\t".join(text_row(payload)), limit)

    def _prepared(self, payload: bytes) -> None:
        self.statement = int.from_bytes(payload[1:5], "little")
        self.after = int.from_bytes(payload[5:7], "little") or -1
        self.left = int.from_bytes(payload[7:9], "little")
        self.parameters = self.left
        if self.left:
            self.phase = Phase.COLUMNS
        else:
            self._next_description()

    def _ok(self, payload: bytes, wire: Wire, limit: int) -> None:
        affected, at = integer(payload, 1)
        inserted, at = integer(payload, at)
        if payload[0] == 0:
            self.affected = max(self.affected, 0) + max(affected, 0)
            self.inserted = max(inserted, 0) or self.inserted
        status = int.from_bytes(payload[at : at + 2], "little")
        self.warnings += int.from_bytes(payload[at + 2 : at + 4], "little")
        self.info = self._info(payload, at + 4, status, wire)
        if self.info:
            self.show(self.info, limit)
        self._ended(status)

    def _info(self, payload: bytes, at: int, status: int, wire: Wire) -> bytes:
        """The human-readable end, whose form depends on what was agreed; cut to what is worth keeping."""
        value, end = string(payload, at)
        tracked = wire.capabilities & Capability.SESSION_TRACK or (not wire.capabilities and end == len(payload))
        return ((value or b"") if tracked or status & _STATE_CHANGED else payload[at:])[:1024]

    def _eof(self, payload: bytes) -> None:
        self.warnings += int.from_bytes(payload[1:3], "little")
        self._ended(int.from_bytes(payload[3:5], "little"))

    def _ended(self, status: int) -> None:
        """A result has ended: the answer has too, unless another result follows."""
        self.status = status
        self.phase = Phase.FIRST if status & _MORE_RESULTS else Phase.OVER

    def _error(self, payload: bytes, limit: int) -> None:
        code = int.from_bytes(payload[1:3], "little")
        if code == _PROGRESS:
            return
        self.error_code = code
        has_state = payload[3:4] == b"#"
        self.sql_state = text(payload[4:9]) if has_state else ""
        self.error = payload[9 if has_state else 3 :][:1024]
        self.show(b"ERROR %d (%s): %s" % (code, self.sql_state.encode(), self.error), limit)
        self.phase = Phase.OVER

    def facts(self) -> dict[str, Attribute]:
        """As attributes, those that say something."""
        facts: dict[str, Attribute] = {
            "rows": self.rows,
            "affected_rows": self.affected if self.affected >= 0 else None,
            "last_insert_id": self.inserted or None,
            "warnings": self.warnings or None,
            "info": text(self.info, 1024),
            "columns": self.names[:64],
            "results": self.results if self.results > 1 else None,
            "statement_id": self.statement if self.statement >= 0 else None,
            "parameter_count": self.parameters if self.statement >= 0 else None,
            "transaction_status": "" if self.status < 0 else "in_transaction" if self.status & _IN_TRANSACTION else "idle",
            "error": text(self.error, 1024),
            "error_code": self.error_code or None,
            "sql_state": self.sql_state,
            "local_infile": self.infile,
            "local_infile_bytes": self.infile_bytes if self.infile else None,
        }
        return {name: value for name, value in facts.items() if value not in ("", [], None)}
