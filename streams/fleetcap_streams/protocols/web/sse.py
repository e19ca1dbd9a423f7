"""Server-Sent Events: a body of `text/event-stream` as the events that a browser would dispatch (HTML standard, section 9.2).

Each event is a message as soon as the empty line behind it has come. Knows nothing of what carries the stream.
"""

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from fleetcap_streams.protocols.body import Body, BodyState
from fleetcap_streams.protocols.contract import Attribute, Direction, Limits, Message, Role

NAME: Final = "sse"
FIELD_LIMIT: Final = 1024  # bytes kept of an event's name and of its id, which are a word each

# Notes of an event.
NO_DATA: Final = "no-data"  # a block without data: it changes the id or the time to reconnect, and is not dispatched
FIELD_CUT: Final = "field-cut"  # the event's name or id is over the limit
EVENT_CUT: Final = "event-cut"  # the stream ended, or bytes are missing, before the empty line behind it
GAP: Final = "gap"  # bytes are missing in it, or may be
RESYNCHRONISED: Final = "resynchronised"  # the first one after bytes were missing

_LINE_END = re.compile(rb"[\r\n]")
_CR: Final = 0x0D
_LF: Final = 0x0A
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_NAME: Final = 5  # of a field that means something
_MOST_RETRY_DIGITS: Final = 15


class _Field(IntEnum):
    """What the line that arrives is; snapshots hold the numbers."""

    NAME = 0  # not known yet: its name arrives
    COMMENT = 1
    EVENT = 2
    DATA = 3
    ID = 4
    RETRY = 5
    OTHER = 6


_FIELDS: Final = {b"event": _Field.EVENT, b"data": _Field.DATA, b"id": _Field.ID, b"retry": _Field.RETRY}


class _Event(msgspec.Struct, array_like=True):
    """The block that arrives. `body` None: no line of data yet."""

    start_ns: int = 0
    lines: int = 0  # fields that mean something
    event: str = ""
    id: str | None = None
    retry: int | None = None
    body: BodyState | None = None
    notes: tuple[str, ...] = ()


class _State(msgspec.Struct, array_like=True):
    """A stream as it stands in a snapshot."""

    begin: bytes | None = b""  # what may be a byte order mark; None once that is settled
    after_cr: bool = False
    field: int = _Field.NAME
    name: bytes = b""
    space: bool = False  # one that comes next belongs to the syntax
    value: bytes = b""
    lost: bool = False  # it is not known what the lines that come now belong to
    ends: int = 0  # line ends since `lost` began, as far as they matter: 0 or 1
    blank: bool = True  # nothing of the line has come
    comments: int = 0  # since the last event
    all_comments: int = 0
    events: int = 0
    now_ns: int = 0
    event: _Event = msgspec.field(default_factory=_Event)


class EventStream:
    """One response's body."""

    __slots__ = ("_body", "_direction", "_limits", "_out", "_state", "now_ns")
    name: Final = NAME

    def __init__(self, direction: Direction, limits: Limits) -> None:
        self.now_ns = 0
        self._direction = direction
        self._limits = limits
        self._state = _State()
        self._body: Body | None = None  # the data of the event that arrives
        self._out: list[Message] = []

    def feed(self, data: bytes) -> None:
        """Take bytes, cut anywhere."""
        state = self._state
        if state.begin is not None:
            data = self._begin(state.begin + data)
        pos, size = 0, len(data)
        while pos < size:
            if state.after_cr:
                state.after_cr = False
                if data[pos] == _LF:
                    pos += 1
                    continue
            found = _LINE_END.search(data, pos)
            stop = found.start() if found else size
            if stop > pos:
                self._piece(data[pos:stop])
            if found is None:
                return
            self._end_line()
            state.after_cr = data[stop] == _CR
            pos = stop + 1

    def _begin(self, data: bytes) -> bytes:
        """One byte order mark at the beginning is not the stream's."""
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._state.begin = data
            return b""
        self._state.begin = None
        return data.removeprefix(_BOM)

    def _piece(self, piece: bytes) -> None:
        """Part of a line."""
        state = self._state
        if state.blank:
            state.blank = False
            if not state.event.start_ns:
                state.event.start_ns = self.now_ns
        if state.lost:
            return
        if state.field == _Field.NAME:
            name, colon, piece = piece.partition(b":")
            state.name += name[: _LONGEST_NAME + 1]  # one more, so that what is longer is no field's name
            if not colon:
                return
            self._settle_field()
            state.space = True
        if state.space and piece:
            state.space = False
            piece = piece.removeprefix(b" ")
        self._value(piece)

    def _settle_field(self) -> None:
        """The name is whole: the line's meaning is known."""
        state = self._state
        state.field = _FIELDS.get(state.name, _Field.OTHER) if state.name else _Field.COMMENT
        if state.field == _Field.DATA:
            if self._body is None:
                self._body = Body(self._limits)
            else:
                self._body.feed(b"\n")

    def _value(self, piece: bytes) -> None:
        state = self._state
        if state.field == _Field.DATA:
            assert self._body is not None  # noqa: S101 - made with the line
            self._body.feed(piece)
        elif state.field in (_Field.EVENT, _Field.ID, _Field.RETRY):
            room = FIELD_LIMIT + 1 - len(state.value)  # one more tells that there is too much
            state.value += piece[:room]

    def _end_line(self) -> None:
        state = self._state
        if state.lost:
            self._look_for_block()
        elif state.blank:
            self._dispatch()
        else:
            if state.field == _Field.NAME:
                self._settle_field()
            self._take_field(state.value)
        state.field, state.name, state.value, state.space, state.blank = _Field.NAME, b"", b"", False, True

    def _look_for_block(self) -> None:
        """Behind a hole only an empty line that is one for certain tells where events begin."""
        state = self._state
        if not (state.blank and state.ends):
            state.ends = 1
            return
        state.lost, state.ends = False, 0
        state.event = _Event(notes=(RESYNCHRONISED,))

    def _take_field(self, value: bytes) -> None:
        """A whole line. What is not as the standard wants it is ignored, as there."""
        state, event = self._state, self._state.event
        match state.field:
            case _Field.COMMENT:
                state.comments += 1
                state.all_comments += 1
                return
            case _Field.EVENT:
                event.event = self._text(value)
            case _Field.ID if b"\0" not in value:
                event.id = self._text(value)
            case _Field.RETRY if value.isdigit() and len(value) <= _MOST_RETRY_DIGITS:
                event.retry = int(value)
            case _Field.DATA:
                pass
            case _:
                return
        event.lines += 1

    def _text(self, value: bytes) -> str:
        event = self._state.event
        if len(value) > FIELD_LIMIT and FIELD_CUT not in event.notes:
            event.notes += (FIELD_CUT,)
        return value[:FIELD_LIMIT].decode(errors="replace")

    def _dispatch(self, *, cut: tuple[str, ...] = (), missing: int = 0) -> None:
        """The block is over: with its empty line, or because of what `cut` says."""
        state, event, body = self._state, self._state.event, self._body
        self._state.event, self._body = _Event(), None
        if not event.lines and body is None and not missing:
            state.event.notes = event.notes
            return
        done = (body or Body(self._limits)).finish(complete=not cut)
        notes = event.notes + cut + done.notes + (() if body is not None or cut else (NO_DATA,))
        state.events += 1
        self._out.append(
            Message(
                NAME,
                self._direction,
                Role.SINGLE,
                0,
                event.start_ns or self.now_ns,
                self.now_ns,
                body=done.body,
                body_size=done.body_size,
                body_sha256=b"" if cut else done.body_sha256,
                encoded_size=done.encoded_size,
                complete=not cut,
                missing_bytes=missing,
                notes=notes,
                attributes=self._attributes(event),
            )
        )
        state.comments = 0

    def _attributes(self, event: _Event) -> Mapping[str, Attribute]:
        told: dict[str, Attribute] = {"event": event.event or "message"}
        if event.id is not None:
            told["id"] = event.id
        if event.retry is not None:
            told["retry"] = event.retry
        if self._state.comments:
            told["comments"] = self._state.comments
        return told

    def gap(self, missing: int) -> None:
        """The event that arrives is cut, and where the next one begins has to be found."""
        state = self._state
        state.begin, state.after_cr = None, False
        if not state.lost:
            self._cut((EVENT_CUT, GAP), missing)
        state.lost, state.ends, state.blank = True, 0, False

    def _cut(self, notes: tuple[str, ...], missing: int = 0) -> None:
        """Put out what has come of a block. A line that is not whole has not come, but for data."""
        state = self._state
        if state.event.lines or self._body is not None:
            self._dispatch(cut=notes, missing=missing)
        state.event = _Event()
        state.field, state.name, state.value, state.space, state.blank = _Field.NAME, b"", b"", False, True

    def take(self) -> list[Message]:
        """Events that are whole since the last call."""
        out = self._out
        if out:
            self._out = []
        return out

    def finish(self, trailers: Sequence[tuple[str, str]], *, complete: bool) -> Mapping[str, Attribute]:
        """A block without its empty line is let go by a browser; here it is put out, and says so."""
        del trailers, complete
        if not self._state.lost:
            self._cut((EVENT_CUT,))
        told: dict[str, Attribute] = {"sse_events": self._state.events}
        if self._state.all_comments:
            told["sse_comments"] = self._state.all_comments
        return told

    def weight(self) -> int:
        """Bytes that it holds."""
        return 0 if self._body is None else min(self._body.encoded_size, self._limits.body)

    def state(self) -> bytes:
        """What a snapshot holds of it; `take` was called before."""
        self._state.event.body = None if self._body is None else self._body.state()
        self._state.now_ns = self.now_ns
        return msgspec.msgpack.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Go on from a state."""
        self._state = msgspec.msgpack.decode(state, type=_State)
        self.now_ns = self._state.now_ns
        body, self._state.event.body = self._state.event.body, None
        self._body = None if body is None else Body.restore(self._limits, body)
