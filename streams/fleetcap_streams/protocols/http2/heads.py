"""What a list of header fields means: request, response or trailers (RFC 9113 sections 8.2 and 8.3), and how it is shown.

A function of the list alone, computed once for each distinct header block. Knows neither streams nor frames.
"""

import re
from enum import Enum
from typing import Final

from fleetcap_streams.protocols.contract import Attribute, Http
from fleetcap_streams.protocols.decoding import MAX_CODINGS, known
from fleetcap_streams.protocols.http2 import notes
from fleetcap_streams.protocols.http2.hpack import INVALID, LIST_CUT, UNKNOWN, HeaderBlock
from fleetcap_streams.protocols.http2.layers import Layer, layer_of
from fleetcap_streams.protocols.http2.static_table import Field
from fleetcap_streams.protocols.web.watch import watch_of

VERSION: Final = "2"

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_STATUS: Final = re.compile(r"[1-9][0-9]{2}")
_METHOD: Final = re.compile(r"[A-Z][A-Z-]{2,19}")
_OF_CONNECTION: Final = frozenset({"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"})
_TOLD: Final = frozenset({"content-length", "content-encoding", "content-type", "host", "te"}) | _OF_CONNECTION
_PSEUDO: Final = {":method": 0, ":path": 1, ":authority": 2, ":scheme": 3, ":protocol": 4, ":status": 5}

# What a field's name says: a pseudo-header is its place in `_PSEUDO`, the others are smaller than 0.
_COMMON: Final = -1
_TELLING: Final = -2
_WRONG: Final = -3
_PSEUDO_UNKNOWN: Final = len(_PSEUDO)
_kinds: Final[dict[str, int]] = {}
_KINDS_KEPT: Final = 8192  # names of at most 64 characters


class Kind(Enum):
    """What a header list begins or ends."""

    REQUEST = "request"
    RESPONSE = "response"
    INTERIM = "interim"
    PLAIN = "plain"  # no pseudo-header: trailers, or a head of which those are unknown


class Head:
    """A header list as read; shared by equal blocks, hence never changed.

    `fields` are those without pseudo-headers; where some are unknown (`partly`), the first of them may be pseudo-headers.
    `broken`: fields are missing. `codings` are to be taken off in that order. `length` is the declared one, None where there
    is none. `layer` is what is spoken in the body, `watch` names what follows it decoded; `plain`: the body is just to be
    kept. `raw` shows it as HTTP/1 would; `http` and `attributes` go into the message.
    """

    __slots__ = (
        "attributes",
        "authority",
        "broken",
        "codings",
        "content_type",
        "fields",
        "http",
        "kind",
        "layer",
        "length",
        "made_of",
        "method",
        "notes",
        "partly",
        "plain",
        "protocol",
        "raw",
        "scheme",
        "status",
        "target",
        "watch",
    )

    def __init__(self, block: HeaderBlock) -> None:
        pseudo = ["", "", "", "", "", ""]
        said: list[str] = list(block.notes)
        told: dict[str, list[str]] = {}
        fields, lines = _sort(block.fields, pseudo, told, said)
        self.made_of = (block.fields, block.unknown, block.notes)  # not the block, which holds this: no cycle to collect
        self.broken = INVALID in said or LIST_CUT in said
        self.fields = tuple(fields)
        self.partly = block.unknown > 0
        self.method, self.target, self.authority, self.scheme, self.protocol, status = pseudo
        self._settle(status, told, said)
        self.raw = self._show(lines, told, said)
        self.notes = tuple(dict.fromkeys(said)) if said else ()
        self.http = Http(self.method, self.target, self.authority, VERSION, self.status, "", self.fields)
        self.attributes: dict[str, Attribute] = {"scheme": self.scheme} if self.scheme else {}
        if self.protocol:
            self.attributes["connect_protocol"] = self.protocol
        self.layer: type[Layer] | None = layer_of(self.content_type) if self.content_type else None
        if self.layer is not None:
            self.attributes.update(self.layer.describe(self.fields))
        self.watch = "" if self.layer is not None else watch_of(self.content_type, request=self.kind is Kind.REQUEST)
        self.plain = self.layer is None and not self.watch and not self.codings and not said

    def _settle(self, status: str, told: dict[str, list[str]], said: list[str]) -> None:
        self.status = int(status) if status and _STATUS.fullmatch(status) else 0
        if self.partly:
            said.append(notes.HEADERS_UNKNOWN)
        if status:
            self.kind = Kind.INTERIM if 100 <= self.status < 200 and self.status != 101 else Kind.RESPONSE
            if not self.status or self.method or self.target:
                said.append(notes.PSEUDO_INVALID)
        elif self.method or self.target or self.authority or self.scheme:
            self.kind = Kind.REQUEST
            self._settle_request(told, said)
        else:
            self.kind = Kind.PLAIN
        self.length: int | None = None
        self.content_type = ""
        self.codings: tuple[str, ...] = ()
        if told:
            self._tell(told, said)

    def _settle_request(self, told: dict[str, list[str]], said: list[str]) -> None:
        connect = self.method == "CONNECT" and not self.protocol
        if not self.partly and (not self.method or connect == bool(self.target) or connect == bool(self.scheme)):
            said.append(notes.PSEUDO_INVALID)
        if connect:
            self.target = self.target or self.authority
        if not self.authority and "host" in told:
            self.authority = told["host"][0]

    def _tell(self, told: dict[str, list[str]], said: list[str]) -> None:
        if not _OF_CONNECTION.isdisjoint(told) or any(value != "trailers" for value in told.get("te", ())):
            said.append(notes.CONNECTION_FIELD)
        lengths = told.get("content-length")
        if lengths:
            if len(set(lengths)) == 1 and lengths[0].isascii() and lengths[0].isdigit() and len(lengths[0]) < 19:
                self.length = int(lengths[0])
            else:
                said.append(notes.LENGTH_INVALID)
        if "content-type" in told:
            self.content_type = told["content-type"][0].partition(";")[0].strip().lower()
        if "content-encoding" in told:
            codings = [part.strip().lower() for part in ",".join(told["content-encoding"]).split(",")]
            codings = [coding for coding in codings if coding not in ("", "identity")]
            if len(codings) <= MAX_CODINGS and all(map(known, codings)):
                self.codings = tuple(reversed(codings))
            else:
                said.append(notes.CODING_UNKNOWN)

    def _show(self, lines: list[str], told: dict[str, list[str]], said: list[str]) -> bytes:
        ends = len(lines) + 2
        if self.kind is Kind.REQUEST:
            start = f"{self.method or UNKNOWN} {self.target or UNKNOWN} HTTP/2\r\n"
            if self.authority and "host" not in told:
                start = f"{start}host: {self.authority}\r\n"
                ends += 1
        elif self.kind is not Kind.PLAIN:
            start = f"HTTP/2 {self.status:03}\r\n"
        else:
            start, ends = "", ends - 1
        raw = f"{start}{''.join(lines)}\r\n".encode()
        if raw.count(b"\n") != ends or raw.count(b"\r") != ends or b"\0" in raw:
            said.append(notes.HEADER_INVALID)  # RFC 9113 section 8.2.1: not in values either
        return raw


def _sort(
    all_fields: tuple[Field, ...], pseudo: list[str], told: dict[str, list[str]], said: list[str]
) -> tuple[list[Field], list[str]]:
    """Tell pseudo-headers and those fields that tell something from the others; gives all but the former, and as lines."""
    fields: list[Field] = []
    lines: list[str] = []
    for field in all_fields:
        name, value = field
        kind = _kinds.get(name)
        if kind is None:
            kind = _kind_of(name)
        if kind >= 0:
            if fields and all(known[0] == UNKNOWN for known in fields):
                fields, lines = [], []  # what comes before a pseudo-header is one
            valid = kind != _PSEUDO_UNKNOWN and not pseudo[kind]
            if valid:
                pseudo[kind] = value
            if fields or not valid:
                said.append(notes.PSEUDO_INVALID)
            continue
        fields.append(field)
        lines.append(f"{name}: {value}\r\n")
        if kind == _TELLING:
            told.setdefault(name, []).append(value)
        elif kind == _WRONG:
            said.append(notes.HEADER_INVALID)
    return fields, lines


def read_head(block: HeaderBlock) -> Head:
    """The head that a block is; the same object for the same block."""
    head: Head = block.meaning or Head(block)
    block.meaning = head
    return head


def could_be_head(block: HeaderBlock) -> bool:
    """Whether a block found among unknown bytes is so sound a head that it can hardly be anything else."""
    if block.notes or not block.fields:
        return False
    seen: set[str] = set()
    for name, value in block.fields:
        if name.startswith(":"):
            if name in seen or not _fits(name, value):
                return False
            seen.add(name)
        elif name != UNKNOWN and not _NAME.fullmatch(name):
            return False
    return ":status" in seen or (":method" in seen and len(seen) > 1)


def _fits(name: str, value: str) -> bool:
    match name:
        case ":status":
            return _STATUS.fullmatch(value) is not None
        case ":method":
            return _METHOD.fullmatch(value) is not None
        case ":path":
            return value.startswith(("/", "*")) and value.isprintable()
        case ":scheme" | ":authority" | ":protocol":
            return value.isascii() and value.isprintable()
        case _:
            return False


def _kind_of(name: str) -> int:
    if name[:1] == ":":
        kind = _PSEUDO.get(name, _PSEUDO_UNKNOWN)
    elif name in _TOLD:
        kind = _TELLING
    else:
        kind = _COMMON if name == UNKNOWN or _NAME.fullmatch(name) else _WRONG
    if len(name) <= 64:
        if len(_kinds) >= _KINDS_KEPT:
            _kinds.clear()
        _kinds[name] = kind
    return kind
