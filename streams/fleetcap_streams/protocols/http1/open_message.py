"""A message whose head is read, while its body arrives."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.body import Body, Finished
from fleetcap_streams.protocols.contract import Attribute, Direction, Http, Limits, Message, Role
from fleetcap_streams.protocols.http1 import notes
from fleetcap_streams.protocols.http1.head import Head, read_head
from fleetcap_streams.protocols.http1.state import OpenState
from fleetcap_streams.protocols.web.watch import Watch, watch_called

NAME: Final = "http1"
NO_BODY: Final = Finished(b"", 0, sha256.EMPTY, 0, ())
NO_ATTRIBUTES: Final[Mapping[str, Attribute]] = MappingProxyType({})


def role_of(http: Http) -> Role:
    """101 ends HTTP's part in its exchange, so it is no interim response here (RFC 9110 section 15.2.2)."""
    if not http.status:
        return Role.REQUEST
    return Role.INTERIM if http.status < 200 and http.status != 101 else Role.RESPONSE


class OpenMessage:
    """`remaining` bytes are still to come, of the body or of its current chunk. `raw` is the head as it will be shown."""

    __slots__ = ("_head", "_trailers", "body", "exchange", "notes", "raw", "remaining", "start_ns", "unknown_gap", "watch")

    def __init__(self, head: Head, start_ns: int, exchange: int, said: tuple[str, ...]) -> None:
        self._head = head
        self._trailers: tuple[tuple[str, str], ...] = ()
        self.raw = head.raw
        self.start_ns = start_ns
        self.exchange = exchange
        self.notes = said
        self.body: Body | None = None
        self.remaining = 0
        self.unknown_gap = False
        self.watch: Watch | None = None

    @property
    def is_request(self) -> bool:
        """Whether it is one."""
        return not self._head.http.status

    def begin_body(self, direction: Direction, limits: Limits, length: int) -> None:
        """A body follows, of so many bytes where that is known."""
        if self._head.watch:
            self.watch = watch_called(self._head.watch, direction, limits)
        self.body = Body(limits, self._head.codings, None if self.watch is None else self.watch.feed)
        self.remaining = max(length, 0)

    def feed(self, data: bytes, time_ns: int) -> list[Message]:
        """Bytes of the body came; the messages inside it that are finished by them."""
        assert self.body is not None  # noqa: S101 - our own invariant: `begin_body` was called
        if self.watch is None:
            self.body.feed(data)
            return []
        self.watch.now_ns = time_ns
        self.body.feed(data)
        return self.watch.take()

    def trail(self, pairs: tuple[tuple[str, str], ...], said: tuple[str, ...]) -> None:
        """Fields came behind the body."""
        self._trailers = pairs
        self.notes += said

    def gap(self, missing: int) -> list[Message]:
        """Bytes of the body are missing, 0: some are, nobody knows how many; the messages inside it that are cut by that."""
        if self.body is not None:
            self.body.gap(missing)
        self.unknown_gap = self.unknown_gap or not missing
        if notes.GAP not in self.notes:
            self.notes += (notes.GAP,)
        if self.watch is None:
            return []
        self.watch.gap(missing)
        return self.watch.take()

    def finish(self, direction: Direction, limits: Limits, end_ns: int, *, complete: bool, missing: int = 0) -> list[Message]:
        """It is over; `missing` are bytes lost outside its body. Last of what it gives is the message itself."""
        finished = NO_BODY if self.body is None else self.body.finish(complete=complete)
        if self.body is not None:
            missing += self.body.missing
            complete = complete and not self.body.decoder_lost
        complete = complete and not missing and not self.unknown_gap
        attributes, inner = NO_ATTRIBUTES, []
        if self.watch is not None:
            self.watch.now_ns = end_ns
            attributes = self.watch.finish(self._trailers, complete=complete)
            inner = self.watch.take()
        message = Message(
            NAME,
            direction,
            role_of(self._head.http),
            self.exchange,
            self.start_ns,
            end_ns,
            self.raw,
            finished.body,
            finished.body_size,
            finished.body_sha256 if complete else b"",
            finished.encoded_size,
            complete,
            missing,
            self._head.notes + self._limit_notes(limits) + self.notes + finished.notes,
            self._http(limits),
            attributes,
        )
        return [*inner, message]

    def _limit_notes(self, limits: Limits) -> tuple[str, ...]:
        many = len(self._head.http.headers) > limits.headers or len(self._trailers) > limits.headers
        return (notes.HEADERS_TOO_MANY,) if many else ()

    def _http(self, limits: Limits) -> Http:
        http = self._head.http
        if len(http.headers) <= limits.headers and not self._trailers:
            return http
        return replace(http, headers=http.headers[: limits.headers], trailers=self._trailers[: limits.headers])

    def state(self) -> OpenState:
        """What a snapshot holds of it. A message with cut head or with trailers is never open."""
        body = None if self.body is None else self.body.state()
        watch = None if self.watch is None else self.watch.state()
        return OpenState(self.raw, self.start_ns, self.exchange, self.notes, body, self.remaining, self.unknown_gap, watch)

    @classmethod
    def restore(cls, direction: Direction, limits: Limits, state: OpenState) -> "OpenMessage":
        """Go on from a state."""
        head = read_head(state.head)
        assert head is not None  # noqa: S101 - it was read before the snapshot
        opened = cls(head, state.start_ns, state.exchange, state.notes)
        if state.watch is not None:
            opened.watch = watch_called(head.watch, direction, limits)
            opened.watch.restore(state.watch)
        tap = None if opened.watch is None else opened.watch.feed
        opened.body = None if state.body is None else Body.restore(limits, state.body, tap)
        opened.remaining, opened.unknown_gap = state.remaining, state.unknown_gap
        return opened
