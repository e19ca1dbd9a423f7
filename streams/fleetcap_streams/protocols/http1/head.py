"""Start line and fields of a message (RFC 9112 sections 2 to 5), read once per distinct head.

Peers repeat themselves: whole heads, and more often single field lines, are looked up in bounded tables before they are read.
What is in the tables is immutable and a function of the bytes alone, so they change nothing but speed.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from fleetcap_streams.protocols.contract import Http
from fleetcap_streams.protocols.http1 import notes
from fleetcap_streams.protocols.http1.framing import UNTIL_CLOSE, Framing, frame
from fleetcap_streams.protocols.web.watch import watch_of

PREFIX: Final = 64  # bytes by which an unfinished start line is judged

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_METHOD = re.compile(_TOKEN + rb"{1,40}")
_STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9])[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?", re.DOTALL)
_TEXT: Final = rb"[ \t][^\x00-\x08\x0a-\x1f\x7f]*"
_REQUEST_BEGUN = re.compile(_TOKEN + rb"{1,40}(?:" + _TEXT + rb"\r*)?")
_STATUS_BEGUN = re.compile(rb"HTTP/(?:1(?:\.(?:[0-9](?:[ \t]+(?:[1-9](?:[0-9](?:[0-9](?:" + _TEXT + rb")?\r*)?)?)?)?)?)?)?")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_FIELD_START = re.compile(_TOKEN + rb"+:")
_FIELD = re.compile(rb"(" + _TOKEN + rb"+)([ \t]*):[ \t]*(.*)", re.DOTALL)
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")

# 1,024 heads of 2 KiB and 8,192 lines of 512 bytes, with what was read from them, stay below some 20 MB of a worker.
_HEADS_KEPT: Final = 1024
CACHED_SIZE: Final = 2048
_LINES_KEPT: Final = 8192
_LINE_SIZE: Final = 512

CACHED_FIELDS: Final = CACHED_SIZE // 3  # no cached head has more: a field takes at least `a:` and a line end


class StartLine(NamedTuple):
    """`status` is 0 in a request, `method` empty in a response."""

    method: str
    target: str
    status: int
    reason: str
    version: str
    notes: tuple[str, ...]


class Field(NamedTuple):
    """One field line. `key` is its name in lower case where the name matters here, else empty."""

    pair: tuple[str, str]
    key: str
    note: str


@dataclass(frozen=True, slots=True)
class Head:
    """A head as read; shared by all messages that begin with the same bytes, hence never changed."""

    raw: bytes
    http: Http
    length: int  # as in `Framing`
    codings: tuple[str, ...]
    upgrade: str  # what the Upgrade field asks for first, in lower case
    notes: tuple[str, ...]
    kind: int  # of a request, as in `Kind`
    watch: str  # what follows the body, as `web.watch` calls it
    plain: bool  # a body of known length, no codings, nothing that changes the connection: the fast path may take it


HEADS: Final[dict[bytes, Head]] = {}
_LINES: Final[dict[bytes, Field]] = {}
_KINDS: Final = {"HEAD": 1, "CONNECT": 2}
_KEYS: Final = frozenset({"content-length", "transfer-encoding", "content-encoding", "content-type", "upgrade", "host"})


def text(data: bytes) -> str:
    """As the schema wants it: UTF-8, else Latin-1, which maps every byte."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def could_begin(data: bytes) -> bool:
    """Whether bytes without a line end may be the beginning of a start line; judged by the first `PREFIX` of them."""
    begin = data[:PREFIX]
    return _REQUEST_BEGUN.fullmatch(begin) is not None or _STATUS_BEGUN.fullmatch(begin) is not None


def read_start_line(line: bytes) -> StartLine | None:
    """Read a whole start line, with or without its line end; None where it is none."""
    line = line.rstrip(b"\r\n")
    if _CONTROLS.search(line):
        return None
    if line.startswith(b"HTTP/") and (match := _STATUS_LINE.fullmatch(line)):
        version, status, reason = match.groups(b"")
        return StartLine("", "", int(status), text(reason), version.decode(), ())
    return _read_request_line(line)


def _read_request_line(line: bytes) -> StartLine | None:
    stripped = line.rstrip(b" \t")
    before, version = stripped[:-8], stripped[-8:]
    if not version.startswith(b"HTTP/1.") or not version[7:].isdigit() or before[-1:] not in (b" ", b"\t"):
        return None
    method = _METHOD.match(before)
    if method is None:
        return None
    rest = before[method.end() :]
    target = rest.strip(b" \t")
    if not target or rest[:1] not in (b" ", b"\t"):
        return None
    said: tuple[str, ...] = (
        () if len(rest) == len(target) + 2 and b"\t" not in rest and stripped == line else (notes.START_LINE_SPACES,)
    )
    if b" " in target or b"\t" in target:
        said += (notes.TARGET_SPACES,)
    return StartLine(text(method.group()), text(target), 0, "", version[5:].decode(), said)


def blank_line(data: bytes, start: int, limit: int) -> int:
    """Where the empty line that ends a head or trailers is over, `limit` bytes from `start` at most, or -1."""
    stop = start + limit
    found = data.find(b"\n\r\n", start, stop)
    bare = data.find(b"\n\n", start, stop if found < 0 else found + 1)
    if bare >= 0:
        return bare + 2
    return found + 3 if found >= 0 else -1


def looks_like_field(line: bytes) -> bool:
    """Whether a line begins as a field does."""
    return _FIELD_START.match(line) is not None


def _read_field(line: bytes) -> Field:
    match = _FIELD.fullmatch(line)
    if match is None:
        return Field(("", ""), "", notes.HEADER_INVALID)
    name, space, value = match.groups()
    note = notes.SPACE_BEFORE_COLON if space else ""
    value = value.rstrip(b" \t")
    if b"\r" in value or b"\0" in value:
        note = notes.HEADER_INVALID
    name_text = name.decode()
    key = name_text.lower()
    return Field((name_text, text(value)), key if key in _KEYS else "", note)


def read_field(line: bytes) -> Field:
    """Read a field line without its line end. One that is no field has an empty name."""
    field = _LINES.get(line)
    if field is None:
        field = _read_field(line)
        if len(line) <= _LINE_SIZE:
            if len(_LINES) >= _LINES_KEPT:
                _LINES.clear()
            _LINES[line] = field
    return field


def read_fields(block: bytes) -> tuple[list[Field], tuple[str, ...]]:
    """Read the lines of a block of fields; its last line end, and the empty line, may be there or not."""
    said: tuple[str, ...] = ()
    if b"\n " in block or b"\n\t" in block:
        block = _FOLD.sub(b" ", block)
        said = (notes.OBS_FOLD,)
    lines = block.split(b"\r\n")
    if block.count(b"\n") >= len(lines):
        said += (notes.BARE_LF,)
        lines = [line.removesuffix(b"\r") for line in block.split(b"\n")]
    fields = [read_field(line) for line in lines if line]
    return fields, said


def pairs(fields: list[Field]) -> tuple[tuple[str, str], ...]:
    """Names and values of those that are fields."""
    return tuple([field.pair for field in fields if field.pair[0]])


def read_head(raw: bytes) -> Head | None:
    """Read a head, up to and with its empty line or as much as there is; None where its first line is no start line."""
    line_end = raw.find(b"\n") + 1
    start = read_start_line(raw[: line_end or len(raw)])
    if start is None:
        return None
    fields, said = read_fields(raw[line_end:] if line_end else b"")
    if line_end > 1 and raw[line_end - 2] != 0x0D and notes.BARE_LF not in said:
        said += (notes.BARE_LF,)
    said = start.notes + said + tuple(dict.fromkeys(field.note for field in fields if field.note))
    head = _build(raw, start, fields, said)
    if len(raw) <= CACHED_SIZE:
        if len(HEADS) >= _HEADS_KEPT:
            HEADS.clear()
        HEADS[raw] = head
    return head


def _build(raw: bytes, start: StartLine, fields: list[Field], said: tuple[str, ...]) -> Head:
    known: dict[str, list[str]] = {}
    for field in fields:
        if field.key:
            known.setdefault(field.key, []).append(field.pair[1])
    framing = _framing(start, known)
    request = not start.status
    http = Http(
        start.method,
        start.target,
        known["host"][0] if request and "host" in known else "",
        start.version,
        start.status,
        start.reason,
        pairs(fields),
    )
    upgrade = known["upgrade"][0].partition(",")[0].strip(" \t").lower() if "upgrade" in known else ""
    plain = framing.length >= 0 and not framing.codings and not upgrade and start.method != "CONNECT"
    if not request:
        plain = framing.length >= 0 and not framing.codings and start.status >= 200
    watch = watch_of(known["content-type"][0], request=request) if "content-type" in known else ""
    kind = _KINDS.get(start.method, 0)
    return Head(raw, http, framing.length, framing.codings, upgrade, said + framing.notes, kind, watch, plain=plain and not watch)


def _framing(start: StartLine, known: dict[str, list[str]]) -> Framing:
    if start.status in (204, 304) or 100 <= start.status < 200:
        return Framing(0, (), ())
    if known.keys().isdisjoint(("content-length", "transfer-encoding", "content-encoding")):
        return Framing(UNTIL_CLOSE if start.status else 0, (), ())
    return frame(
        request=not start.status,
        version=start.version,
        lengths=known.get("content-length", ()),
        transfer=known.get("transfer-encoding", ()),
        content=known.get("content-encoding", ()),
    )
