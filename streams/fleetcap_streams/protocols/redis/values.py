"""A command or an answer while its elements come in: bounded, and a few numbers deep in nesting. Knows nothing of exchanges."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.framing import DesyncError, Frame
from fleetcap_streams.protocols.redis import wire

DEPTH: Final = 1000  # levels that are open
SHOWN_DEPTH: Final = 16  # levels that are indented

NAMES: Final = {
    ord("+"): "simple_string",
    ord("-"): "error",
    ord(":"): "integer",
    ord("$"): "bulk_string",
    ord("*"): "array",
    ord("_"): "null",
    ord("#"): "boolean",
    ord(","): "double",
    ord("("): "big_number",
    ord("!"): "bulk_error",
    ord("="): "verbatim_string",
    ord("%"): "map",
    ord("~"): "set",
    ord(">"): "push",
}
_NULLABLE: Final = b"$*"
_STREAMABLE: Final = b"$*~%>"
_STREAMED: Final = ord("?")
_MINUS: Final = ord("-")
_NULL: Final = ord("_")
_BULK: Final = ord("$")
_ATTRIBUTE: Final = ord("|")
_CHUNK: Final = ord(";")
_END: Final = ord(".")
_ARRAY: Final = ord("*")
_VERBATIM: Final = ord("=")


class Value(msgspec.Struct, array_like=True):
    """One top-level value. `kind` is its type's byte, 0 for an inline command; `pieces` is what is shown of it."""

    start_ns: int
    kind: int = -1
    null: bool = False
    size: int = 0  # on the wire
    missing: int = 0
    left: list[int] = msgspec.field(default_factory=lambda: [1])  # elements to come at each open level; UNTIL_END: unknown
    aside: int = 0  # levels below which an attribute stands, which is not part of the value; 0: none is open
    elements: int = 0  # of the aggregate itself
    scalars: int = 0
    errors: int = 0
    error: bytes = b""
    bulks_only: bool = True  # an array of bulk strings, as commands are
    resp3: bool = False
    pieces: list[bytes] = []
    held: int = 0  # bytes in `pieces`, each counted one more
    cut: bool = False  # pieces were left out

    @property
    def over(self) -> bool:
        """Whether every element has come."""
        return not self.left

    @property
    def command_like(self) -> bool:
        """Whether it has the form of a command."""
        return self.kind == 0 or (self.kind == _ARRAY and self.bulks_only and self.elements > 0)

    def take(self, frame: Frame, limit: int) -> None:
        """Add an element; at most `limit` bytes of all are kept.

        Raises:
            DesyncError: it is none, or too deep.
        """
        data, kind = frame.data, frame.data[0]
        content, whole = _content(data, frame)
        if kind not in wire.TYPES:
            self._inline(content)
        elif whole:
            self._add(kind, data, content, limit)
        self.size += frame.size
        self.missing += frame.missing

    def _inline(self, line: bytes) -> None:
        self.kind = 0
        self.pieces = [word.strip(b"\"'") for word in line.split()]
        self.scalars = len(self.pieces)
        self.left = []

    def _add(self, kind: int, data: bytes, content: bytes, limit: int) -> None:
        first = self.kind < 0 and kind != _ATTRIBUTE and not self.aside
        if first:
            self.kind = kind
        else:
            self.bulks_only = self.bulks_only and kind == _BULK
        self.resp3 = self.resp3 or kind in wire.RESP3
        if kind in (_END, _CHUNK):
            self._streamed(kind, content, limit)
            return
        count = wire.number(data[1 : data.index(b"\r\n")]) * (2 if kind in wire.MAPS else 1) if kind in wire.AGGREGATES else 0
        if count > 0 or (kind in _STREAMABLE and data[1] == _STREAMED):
            self._open(kind, count or wire.UNTIL_END, first=first)
            return
        null = kind == _NULL or (kind in _NULLABLE and data[1] == _MINUS)
        self.null = self.null or (first and null)
        self.bulks_only = self.bulks_only and not null
        if null:
            content = b"(nil)"
        elif kind in wire.AGGREGATES:
            content = b"(empty)"
        self._scalar(kind, content, limit)

    def _open(self, kind: int, count: int, *, first: bool) -> None:
        """Begin a level. Far down, one whose last element this is need not be remembered: only bombs come to the limit."""
        if len(self.left) >= DEPTH:
            raise DesyncError
        if kind != _ATTRIBUTE:
            if self.left[-1] > 0:
                self.left[-1] -= 1
            if self.left[-1] == 0 and len(self.left) != self.aside and len(self.left) > SHOWN_DEPTH:
                self.left.pop()
        elif not self.aside:
            self.aside = len(self.left) + 1
        self.left.append(count)
        if first:
            self.elements = count // 2 if kind in wire.MAPS else count

    def _scalar(self, kind: int, content: bytes, limit: int) -> None:
        depth = len(self.left) - 1
        if not self.aside:
            self.scalars += 1
            if kind in b"-!":
                self.errors += 1
                self.error = self.error or content[:1024]
            self._show(b"  " * min(depth - 1, SHOWN_DEPTH) + content if depth > 1 else content, limit)
        if self.left[-1] > 0:
            self.left[-1] -= 1
        self._close()

    def _close(self) -> None:
        """End every level that has all its elements."""
        while self.left and self.left[-1] == 0:
            self.left.pop()
        if len(self.left) < self.aside:
            self.aside = 0

    def _show(self, piece: bytes, limit: int) -> None:
        room = limit - self.held
        if len(piece) >= room:
            self.cut = True
            piece = piece[: max(room, 0)]
            if not piece:
                return
        self.pieces.append(piece)
        self.held += len(piece) + 1

    def _streamed(self, kind: int, content: bytes, limit: int) -> None:
        """A part of a streamed string, or the end of a streamed anything."""
        if kind == _CHUNK and content:
            self._show(content, limit)
            return
        if self.left[-1] != wire.UNTIL_END:
            raise DesyncError
        self.left.pop()
        self._close()


def _content(data: bytes, frame: Frame) -> tuple[bytes, bool]:
    """What an element holds, and whether its header came.

    Raises:
        DesyncError: a string does not end where its length says.
    """
    kind = data[0]
    if kind not in wire.TYPES or kind in wire.LINES:
        return data[1 if kind in wire.TYPES else 0 :].rstrip(b"\r\n"), True
    end = data.find(b"\r\n")
    if end < 0:
        return b"", False
    if kind not in wire.BULKS or frame.size == end + 2:
        return b"", True
    if frame.whole and not data.endswith(b"\r\n"):
        raise DesyncError
    content = data[end + 2 : frame.size - 2]
    return content[4:] if kind == _VERBATIM and content[3:4] == b":" else content, True
