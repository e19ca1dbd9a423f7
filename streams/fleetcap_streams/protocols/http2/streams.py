"""All streams of a connection: which message a frame belongs to, when it is over, and which response answers which request.

Both directions meet here. An exchange has its stream's number, so it is unique in the connection. Memory is bounded: the
oldest streams are put out early where there are too many of them, or where they hold too much.
"""

import msgspec

from fleetcap_streams.protocols.contract import Direction, Limits, Message, Role
from fleetcap_streams.protocols.http2 import notes
from fleetcap_streams.protocols.http2.answers import build, length_is_wrong
from fleetcap_streams.protocols.http2.frames import END_STREAM, error_name
from fleetcap_streams.protocols.http2.half import Half, HalfState
from fleetcap_streams.protocols.http2.heads import Head, Kind
from fleetcap_streams.protocols.http2.hpack import UNKNOWN_FIELD
from fleetcap_streams.protocols.http2.layers import Layer, layer_called
from fleetcap_streams.protocols.http2.limits import Http2Limits
from fleetcap_streams.protocols.http2.reader import Times
from fleetcap_streams.protocols.web.watch import watch_called

_OTHER = (Direction.SENT, Direction.RECEIVED)


class StreamState(msgspec.Struct, array_like=True):
    """A stream as it stands in a snapshot."""

    number: int
    method: str
    layer: str
    asked: bool
    pushed: bool
    halves: tuple[HalfState | None, HalfState | None]
    over: tuple[bool, bool]
    asked_ns: int


class StreamsState(msgspec.Struct, array_like=True):
    """All of them."""

    open: list[StreamState]
    closed: list[int]
    client: int | None
    upgrade: int | None
    notes: tuple[tuple[str, ...], tuple[str, ...]]
    followed: list[bool]
    lost_ns: list[int]


class Stream:
    """A stream while something of it is still to come.

    `asked`: its request was seen, at least its beginning. `asked_ns` is when, -1 where its
    head was not.
    """

    __slots__ = ("asked", "asked_ns", "halves", "layer", "method", "number", "over", "pushed")

    def __init__(self, number: int) -> None:
        self.asked_ns = -1
        self.number = number
        self.method = ""
        self.layer: type[Layer] | None = None
        self.asked = False
        self.pushed = False
        self.halves: list[Half | None] = [None, None]
        self.over = [False, False]


class Streams:
    """The open streams of a connection, oldest first. `out` is where finished messages go.

    `client` is the direction of requests, None while nothing has told it. `followed` says of each direction that its frames
    are found now, `lost_ns` when the last byte came that belongs to none. `notes` wait for the next message of their
    direction. `upgrade` is the exchange that the response on stream 1 belongs to, in a connection that was upgraded from
    HTTP/1 (its request is an HTTP/1 message).
    """

    __slots__ = (
        "_closed",
        "_decoders",
        "_held",
        "_limits",
        "_own",
        "_streams",
        "client",
        "followed",
        "lost_ns",
        "notes",
        "out",
        "upgrade",
    )

    def __init__(self, limits: Limits, own: Http2Limits) -> None:
        self._limits = limits
        self._own = own
        self._streams: dict[int, Stream] = {}
        self._closed: dict[int, None] = {}  # reset, oldest first
        self._held = 0
        self._decoders = 0
        self.out: list[Message] = []
        self.client: Direction | None = None
        self.upgrade: int | None = None
        self.followed = [False, False]
        self.lost_ns = [-1, -1]
        self.notes: list[list[str]] = [[], []]

    def __len__(self) -> int:
        return len(self._streams)

    def head(self, direction: Direction, number: int, head: Head, *, end: bool, times: Times) -> None:
        """A whole header block on a stream."""
        stream = self._streams.get(number)
        if stream is None:
            if number in self._closed:
                self.note(direction, notes.AFTER_END)
                return
            stream = self._open(number)
        half = stream.halves[direction]
        if half is None:
            if stream.over[direction]:
                self.note(direction, notes.AFTER_END)
                return
            if head.kind is Kind.INTERIM and not end:
                self._interim(stream, direction, head, times)
                return
            half = self._begin(stream, direction, head, end=end, start_ns=times[0])
        else:
            self._trailers(half, head, end=end)
        half.end_ns = times[1]
        if end:
            self._finish(stream, direction, half, complete=True)

    def head_lost(self, direction: Direction, number: int, *, end: bool, times: Times) -> None:
        """A header block that cannot be read."""
        half = self._half(direction, number, times[0], notes.HEAD_UNKNOWN, lost=notes.TRAILERS_LOST)
        if half is None:
            return
        half.holed = True
        half.end_ns = times[1]
        if end:
            self._finish(self._streams[number], direction, half, complete=True)

    def data(self, direction: Direction, number: int, piece: bytes, times: Times, *, ends: bool) -> None:
        """A piece of a body; `ends`: it is the last one."""
        stream = self._streams.get(number)
        half = stream.halves[direction] if stream is not None else None
        if half is None or stream is None:
            half = self._half(direction, number, times[0], notes.HEAD_UNKNOWN)
            if half is None:
                return
            stream = self._streams[number]
        half.end_ns = times[1]
        if ends and half.head is not None and half.head.plain and not half.first and half.body is None:
            half.feed(piece)
        else:
            self._feed(half, piece)
            self._put_inner(number, half)
        if ends:
            self._finish(stream, direction, half, complete=True)

    def _feed(self, half: Half, piece: bytes) -> None:
        decoding = half.body is not None
        half.feed(piece)
        if half.codings and not decoding:
            self._decoders += 1
        self._weigh(half)
        if self._held > self._own.held:
            self._relieve(half)

    def _put_inner(self, number: int, half: Half) -> None:
        """Messages inside a body go out as they come."""
        if half.watch is not None:
            for message in half.watch.take():
                message.attributes = {"stream_id": number, **message.attributes}
                self.out.append(message)

    def _weigh(self, half: Half) -> None:
        held = half.weight()
        self._held += held - half.held
        half.held = held

    def data_end(self, direction: Direction, number: int, flags: int, end_ns: int) -> None:
        """The end of a DATA frame."""
        if not flags & END_STREAM:
            return
        stream = self._streams.get(number)
        half = stream.halves[direction] if stream is not None else None
        if half is None:
            half = self._half(direction, number, end_ns, notes.HEAD_UNKNOWN)
            if half is None:
                return
            stream = self._streams[number]
        if stream is not None:
            half.end_ns = end_ns
            self._finish(stream, direction, half, complete=True)

    def data_hole(self, direction: Direction, number: int, missing: int, time_ns: int) -> None:
        """Bytes of a body are missing."""
        half = self._half(direction, number, time_ns, notes.HEAD_UNKNOWN)
        if half is not None:
            half.hole(missing)
            self._put_inner(number, half)

    def promise(self, direction: Direction, number: int, head: Head, times: Times) -> None:
        """A request that the server has answered before it was made (RFC 9113 section 8.4)."""
        stream = self._streams.get(number) or self._open(number)
        stream.asked = stream.pushed = stream.over[_OTHER[direction]] = True
        stream.asked_ns = times[0]
        stream.method = head.method
        half = Half(self._limits, head, times[0])
        half.note(notes.PUSHED)
        half.end_ns = times[1]
        self._message(stream, direction, half, Role.REQUEST, complete=True)

    def reset(self, direction: Direction, number: int, code: int, times: Times) -> None:
        """RST_STREAM ends both directions; what the other one has still on its way is not waited for."""
        self._closed[number] = None
        if len(self._closed) > self._own.closed:
            del self._closed[next(iter(self._closed))]
        stream = self._streams.get(number)
        if stream is None:
            return
        note = f"{notes.RESET}:{error_name(code)}"
        answered = any(half is not None and self._role(stream, side, half) is Role.RESPONSE for side, half in _sides(stream))
        answered = answered or (self.client is not None and stream.over[self.client.other])
        for side, half in _sides(stream):
            if half is not None:
                half.note(note)
                half.end_ns = max(half.end_ns, times[1])
                self._finish(stream, side, half, complete=False)
        if stream.asked and not answered:  # so the reset is all the answer there will be
            half = Half(self._limits, None, times[0])
            half.end_ns = times[1]
            half.note(note)
            self._message(stream, direction, half, Role.RESPONSE, complete=False)
        self._streams.pop(number, None)

    def lost(self, direction: Direction, time_ns: int) -> None:
        """Frames of a direction may be missing, and so may some of every message that is open in it."""
        self.followed[direction] = False
        self.lost_ns[direction] = time_ns
        for stream in self._streams.values():
            half = stream.halves[direction]
            if half is not None:
                half.hole(0)
                self._put_inner(stream.number, half)

    def found(self, direction: Direction) -> None:
        """The end of what `lost` began."""
        self.followed[direction] = True
        self.note(direction, notes.RESYNCHRONISED)

    def end(self, direction: Direction) -> None:
        """Nothing more is coming in a direction: put out what is open in it."""
        for stream in list(self._streams.values()):
            half = stream.halves[direction]
            if half is not None:
                half.note(notes.BODY_CUT)
                self._finish(stream, direction, half, complete=False)
            stream.over[direction] = True
            if all(stream.over):
                self._streams.pop(stream.number, None)

    def note(self, direction: Direction, note: str) -> None:
        """Let the next message of the direction say it, once; the list is bounded because the notes there are, are few."""
        if note not in self.notes[direction]:
            self.notes[direction].append(note)

    def _open(self, number: int) -> Stream:
        while len(self._streams) >= self._own.streams:
            self._put_out(next(iter(self._streams.values())))
        stream = self._streams[number] = Stream(number)
        return stream

    def _put_out(self, stream: Stream) -> None:
        for side, half in _sides(stream):
            if half is not None:
                half.note(notes.STREAMS_LIMIT)
                self._finish(stream, side, half, complete=False)
        self._streams.pop(stream.number, None)

    def _begin(self, stream: Stream, direction: Direction, head: Head, *, end: bool, start_ns: int) -> Half:
        """The first header block of a direction that is not an interim response."""
        kind = head.kind
        if kind is Kind.PLAIN and end and stream.asked_ns <= self.lost_ns[direction]:
            half = Half(self._limits, None, start_ns)  # trailers of a message whose head was not seen
            half.note(notes.HEAD_UNKNOWN)
            half.trailers = head.fields
            if head.fields[:1] == (UNKNOWN_FIELD,):
                half.note(notes.TRAILERS_UNCERTAIN)
            stream.halves[direction] = half
            return half
        if kind is Kind.REQUEST:
            self.client = self.client if stream.pushed else direction
            stream.asked, stream.method, stream.layer = True, head.method, head.layer
            stream.asked_ns = start_ns
        elif kind is not Kind.PLAIN:
            self.client = _OTHER[direction]
        half = stream.halves[direction] = Half(self._limits, head, start_ns)
        self._held += half.held
        if half.layer is None and head.partly and stream.layer is not None:
            half.layer = stream.layer()  # its content type is unknown; no request of a layer is answered in another one
        if half.codings and self._decoders >= self._own.decoders:
            half.codings = ()
            half.note(notes.DECODERS_LIMIT)
        elif head.watch:
            half.watch = watch_called(head.watch, direction, self._limits)
        return half

    def _interim(self, stream: Stream, direction: Direction, head: Head, times: Times) -> None:
        self.client = _OTHER[direction]
        half = Half(self._limits, head, times[0])
        half.end_ns = times[1]
        self._message(stream, direction, half, Role.INTERIM, complete=True)

    def _trailers(self, half: Half, head: Head, *, end: bool) -> None:
        if not end or head.kind is not Kind.PLAIN:
            half.note(notes.HEAD_REPEATED)
        for note in head.notes:
            if half.head is None or note not in half.head.notes:
                half.note(note)
        half.trailers = head.fields
        self._held += len(head.raw)
        half.held += len(head.raw)

    def _half(self, direction: Direction, number: int, start_ns: int, note: str, lost: str = "") -> Half | None:
        """The half that a frame belongs to; a new one without a head where its HEADERS were not seen; None where it is over."""
        stream = self._streams.get(number)
        if (stream is None and (number in self._closed or not number)) or (stream is not None and stream.over[direction]):
            self.note(direction, notes.AFTER_END)
            return None
        stream = stream or self._open(number)
        half = stream.halves[direction]
        if half is None:
            half = stream.halves[direction] = Half(self._limits, None, start_ns)
            half.note(note)
            if direction == self.client:
                stream.asked = True
        elif lost:
            half.note(lost)
        return half

    def _relieve(self, half: Half) -> None:
        """The connection holds too much."""
        if half.kept:
            half.keep_no_more()
            self._weigh(half)
        while self._held > 2 * self._own.held:
            oldest = next((stream for stream in self._streams.values() if half not in stream.halves), None)
            if oldest is None:
                return
            self._put_out(oldest)

    def _finish(self, stream: Stream, direction: Direction, half: Half, *, complete: bool) -> None:
        """A direction of a stream is over."""
        stream.halves[direction] = None
        stream.over[direction] = True
        self._held -= half.held
        if half.codings and half.body is not None:
            self._decoders -= 1
        role = self._role(stream, direction, half)
        if role is Role.REQUEST:
            stream.asked = True
        self._message(stream, direction, half, role, complete=complete)
        if stream.over[_OTHER[direction]] or (role is Role.RESPONSE and not stream.asked):
            self._streams.pop(stream.number, None)

    def _role(self, stream: Stream, direction: Direction, half: Half) -> Role:
        kind = half.head.kind if half.head is not None else Kind.PLAIN
        if kind is Kind.REQUEST:
            return Role.REQUEST
        if kind is not Kind.PLAIN or stream.pushed:
            return Role.RESPONSE
        if self.client is None:
            half.note(notes.ROLE_GUESSED)
            return Role.RESPONSE if stream.over[_OTHER[direction]] or stream.halves[_OTHER[direction]] else Role.REQUEST
        return Role.REQUEST if direction == self.client else Role.RESPONSE

    def _unasked(self, stream: Stream, direction: Direction, half: Half) -> int:
        """The exchange of a response whose request was not seen."""
        if stream.number == 1 and self.lost_ns == [-1, -1]:  # without loss, nobody else answers what was not asked
            half.note(notes.UPGRADED)
            return self.upgrade or 0
        half.note(notes.REQUEST_UNKNOWN)
        # Where the other direction is being searched, or was never heard, the request may still come.
        return 0 if self.followed[_OTHER[direction]] else stream.number

    def _message(self, stream: Stream, direction: Direction, half: Half, role: Role, *, complete: bool) -> None:
        half.complete = complete
        asked = role is Role.REQUEST or stream.asked
        exchange = stream.number if asked else self._unasked(stream, direction, half)
        said = self.notes[direction]
        if said:
            self.notes[direction] = []
        head = half.head
        if head is not None and head.length is not None and complete and length_is_wrong(half, head, stream.method, role):
            half.note(notes.LENGTH_MISMATCH)
        message = build(half, direction, role, (stream.number, exchange), said)
        self._put_inner(stream.number, half)
        self.out.append(message)

    def state(self) -> StreamsState:
        """What a snapshot holds of it."""
        return StreamsState(
            [_save(stream) for stream in self._streams.values()],
            list(self._closed),
            self.client,
            self.upgrade,
            (tuple(self.notes[0]), tuple(self.notes[1])),
            list(self.followed),
            list(self.lost_ns),
        )

    def restore(self, state: StreamsState) -> None:
        """Go on from a state."""
        self.client = None if state.client is None else Direction(state.client)
        self.upgrade, self.followed, self.lost_ns = state.upgrade, list(state.followed), list(state.lost_ns)
        self.notes = [list(state.notes[0]), list(state.notes[1])]
        self._closed = dict.fromkeys(state.closed)
        for saved in state.open:
            stream = self._streams[saved.number] = Stream(saved.number)
            stream.method, stream.asked, stream.pushed = saved.method, saved.asked, saved.pushed
            stream.layer = layer_called(saved.layer)
            stream.over, stream.asked_ns = list(saved.over), saved.asked_ns
            stream.halves = [
                None if half is None else Half.restore(side, self._limits, half)
                for side, half in zip(Direction, saved.halves, strict=True)
            ]
            for half in stream.halves:
                if half is not None:
                    self._held += half.held
                    self._decoders += bool(half.codings and half.body is not None)


def _sides(stream: Stream) -> list[tuple[Direction, Half | None]]:
    return [(direction, stream.halves[direction]) for direction in Direction]


def _save(stream: Stream) -> StreamState:
    received, sent = (None if half is None else half.state() for half in stream.halves)
    over = (stream.over[0], stream.over[1])
    layer = stream.layer.name if stream.layer is not None else ""
    return StreamState(stream.number, stream.method, layer, stream.asked, stream.pushed, (received, sent), over, stream.asked_ns)
