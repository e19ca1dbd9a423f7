"""One message while its stream's direction is open: head, body, what is missing, and what becomes of it.

Knows nothing of the other direction or of other streams.
"""

from typing import Final

import msgspec

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.body import Body, BodyState, Finished
from fleetcap_streams.protocols.contract import Direction, Limits
from fleetcap_streams.protocols.http2 import notes
from fleetcap_streams.protocols.http2.heads import Head, read_head
from fleetcap_streams.protocols.http2.hpack import HeaderBlock
from fleetcap_streams.protocols.http2.layers import Layer, layer_called
from fleetcap_streams.protocols.http2.static_table import Field
from fleetcap_streams.protocols.web.watch import Watch, watch_called

_EMPTY: Final = Finished(b"", 0, sha256.EMPTY, 0, ())


class StreamBody(Body):
    """A body of which what is kept can be limited later than at its beginning."""

    __slots__ = ()

    @property
    def held(self) -> int:
        """Bytes that are kept of it, decoded or not."""
        return len(self._kept.data) + (len(self._encoded) if self._chain is not None and self._encoded is not None else 0)

    def keep_no_more(self) -> None:
        """From here on only count and hash."""
        self._kept.limit = len(self._kept.data)
        self._encoded = None


class HalfState(msgspec.Struct, array_like=True):
    """A half as it stands in a snapshot."""

    fields: tuple[Field, ...] | None
    unknown: int
    said: tuple[str, ...]
    notes: tuple[str, ...]
    trailers: tuple[Field, ...]
    start_ns: int
    end_ns: int
    first: bytes
    body: BodyState | None
    codings: tuple[str, ...]
    holed: bool
    missing: int
    kept: bool
    layer: tuple[str, bytes] | None
    watch: tuple[str, bytes] | None


class Half:
    """One direction of a stream, from its first frame to END_STREAM. `head` None: it was not seen.

    `first` is the only piece of the body as long as there is but one; most bodies have no other. `held` is how much of the
    connection's allowance it takes.
    """

    __slots__ = (
        "_limits",
        "body",
        "codings",
        "complete",
        "end_ns",
        "first",
        "head",
        "held",
        "holed",
        "kept",
        "layer",
        "missing",
        "notes",
        "start_ns",
        "trailers",
        "watch",
    )

    def __init__(self, limits: Limits, head: Head | None, start_ns: int) -> None:
        self._limits = limits
        self.head = head
        self.start_ns = self.end_ns = start_ns
        self.first = b""
        self.body: StreamBody | None = None
        self.codings: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self.trailers: tuple[Field, ...] = ()
        self.holed = head is None
        self.missing = 0
        self.complete = True  # it ends, or will have ended, with END_STREAM
        self.kept = True
        self.layer: Layer | None = None
        self.watch: Watch | None = None
        self.held = 0
        if head is not None:
            self.held = len(head.raw)
            if not head.plain:
                self.codings = head.codings
                if head.layer is not None:
                    self.layer = head.layer()

    def note(self, note: str) -> None:
        """Say it once."""
        if note not in self.notes:
            self.notes += (note,)

    def feed(self, piece: bytes) -> None:
        """The next bytes of the body as sent."""
        if not piece:
            return
        if self.layer is not None:
            self.layer.feed(piece)
        if self.watch is not None:
            self.watch.now_ns = self.end_ns
        if self.body is not None:
            self.body.feed(piece)
        elif self.first or self.codings or self.watch is not None or len(piece) > self._limits.body or not self.kept:
            self._begin().feed(piece)
        else:
            self.first = piece

    def _begin(self) -> StreamBody:
        self.body = StreamBody(self._limits, self.codings, None if self.watch is None else self.watch.feed)
        if not self.kept:
            self.body.keep_no_more()
        if self.first:
            self.body.feed(self.first)
            self.first = b""
        return self.body

    def hole(self, missing: int) -> None:
        """Bytes of the body are missing here; 0: it is not known whether and how many."""
        self.holed = True
        self.missing += missing
        self.note(notes.GAP)
        if self.layer is not None:
            self.layer.gap(missing)
        if self.codings or self.body is not None:
            (self.body or self._begin()).gap(missing)
        if self.watch is not None:
            self.watch.gap(missing)

    def keep_no_more(self) -> None:
        """The connection holds too much: from here on only count and hash."""
        self.kept = False
        self.note(notes.BODY_NOT_KEPT)
        (self.body or self._begin()).keep_no_more()

    def weight(self) -> int:
        """What it holds now; of the connection's allowance."""
        body = len(self.first) if self.body is None else self.body.held
        if self.watch is not None:
            body += self.watch.weight()
        return body if self.head is None else body + len(self.head.raw)

    def finish(self, *, complete: bool) -> Finished:
        """What the body came to. Its hash is empty where the body is not all there."""
        if self.body is not None:
            done = self.body.finish(complete=complete and not self.holed)
        elif self.first:
            size = len(self.first)
            done = Finished(self.first, size, b"" if self.holed else sha256.digest(self.first), size, ())
        else:
            done = _EMPTY
        return done._replace(body_sha256=b"") if self.holed else done

    def state(self) -> HalfState:
        """What a snapshot holds of it."""
        fields, unknown, said = (None, 0, ()) if self.head is None else self.head.made_of
        return HalfState(
            fields,
            unknown,
            said,
            self.notes,
            self.trailers,
            self.start_ns,
            self.end_ns,
            self.first,
            None if self.body is None else self.body.state(),
            self.codings,
            self.holed,
            self.missing,
            self.kept,
            None if self.layer is None else (self.layer.name, self.layer.state()),
            None if self.watch is None else (self.watch.name, self.watch.state()),
        )

    @classmethod
    def restore(cls, direction: Direction, limits: Limits, state: HalfState) -> "Half":
        """Go on from a state."""
        head = None if state.fields is None else read_head(HeaderBlock(state.fields, state.unknown, state.said))
        half = cls(limits, head, state.start_ns)
        half.notes, half.trailers, half.end_ns = state.notes, state.trailers, state.end_ns
        half.first, half.codings = state.first, state.codings
        half.holed, half.missing, half.kept = state.holed, state.missing, state.kept
        layer = None if state.layer is None else layer_called(state.layer[0])
        half.layer = None if layer is None else layer()
        if half.layer is not None and state.layer is not None:
            half.layer.restore(state.layer[1])
        if state.watch is not None:
            half.watch = watch_called(state.watch[0], direction, limits)
            half.watch.restore(state.watch[1])
        if state.body is not None:
            body = StreamBody.restore(limits, state.body, None if half.watch is None else half.watch.feed)
            assert isinstance(body, StreamBody)  # noqa: S101 - restore makes what it is called on
            half.body = body
            if not half.kept:
                half.body.keep_no_more()
        half.held = half.weight()
        return half
