"""The state of one direction and what its steps do to it: open and finish messages, skip bytes, lose the thread."""

from enum import IntEnum
from typing import Final

from fleetcap_streams.protocols.contract import Direction, Gap, Limits, Message, Role
from fleetcap_streams.protocols.http1 import notes
from fleetcap_streams.protocols.http1.backlog import Backlog
from fleetcap_streams.protocols.http1.framing import CHUNKED, UNTIL_CLOSE
from fleetcap_streams.protocols.http1.head import CACHED_FIELDS, CACHED_SIZE, Head, read_head
from fleetcap_streams.protocols.http1.open_message import OpenMessage, role_of
from fleetcap_streams.protocols.http1.pairing import Kind, Pairing
from fleetcap_streams.protocols.http1.state import HalfState, QueuedState
from fleetcap_streams.protocols.raw import NAME as RAW
from fleetcap_streams.protocols.raw import RawBuffer


class Step(IntEnum):
    """What comes next; snapshots hold the numbers."""

    HEAD = 0
    LENGTH = 1
    UNTIL_CLOSE = 2
    CHUNK_SIZE = 3
    CHUNK_DATA = 4
    CHUNK_END = 5
    TRAILERS = 6
    SEARCH = 7
    HELD = 8
    SWITCHED = 9


_BODY_STEPS: Final = {0: Step.HEAD, CHUNKED: Step.CHUNK_SIZE, UNTIL_CLOSE: Step.UNTIL_CLOSE}


class Flow:
    """One direction of a connection; `out` collects the messages that it gives."""

    __slots__ = (
        "answers",
        "backlog",
        "checked",
        "direction",
        "limits",
        "line_start",
        "mine",
        "open",
        "out",
        "pairing",
        "queue",
        "queued",
        "quick_allowed",
        "said",
        "skipped",
        "step",
    )

    def __init__(self, direction: Direction, limits: Limits, pairing: Pairing) -> None:
        self.direction = direction
        self.limits = limits
        self.pairing = pairing
        self.step = Step.HEAD
        self.out: list[Message] = []
        self.open: OpenMessage | None = None
        self.backlog = Backlog()
        self.skipped = RawBuffer(direction, limits.body, RAW, (notes.SKIPPED,))
        self.queue: list[tuple[bytes | Gap, int]] = []  # what came while HELD or SWITCHED, and when
        self.queued = 0  # bytes in it
        self.said: tuple[str, ...] = ()  # notes of the next message
        self.checked = False  # the start line of the head in the backlog is known to be one
        self.line_start = True  # what is searched next begins a line
        self.mine = pairing.waiting[direction]  # requests of this direction
        self.answers = pairing.waiting[direction ^ 1]  # requests that this direction's responses answer
        self.quick_allowed = limits.head >= CACHED_SIZE and limits.headers >= CACHED_FIELDS

    def say(self, note: str) -> None:
        """Note something on the next message, once."""
        if note not in self.said:
            self.said += (note,)

    def begin(self, head: Head, start_ns: int) -> OpenMessage:
        """A message begins: give it its exchange, and find out how long it is."""
        self.checked = False
        said, self.said = self.said, ()
        if head.http.status:
            exchange, length, more = self._begin_response(head)
        else:
            exchange, length, more = self._begin_request(head)
        self.open = opened = OpenMessage(head, start_ns, exchange, said + more)
        if length:
            opened.begin_body(self.direction, self.limits, length)
        self.step = _BODY_STEPS.get(length, Step.LENGTH)
        return opened

    def _begin_request(self, head: Head) -> tuple[int, int, tuple[str, ...]]:
        exchange, remembered = self.pairing.request(self.direction, Kind(head.kind))
        if (head.upgrade or head.kind == Kind.CONNECT) and not self.pairing.held and remembered:
            self.pairing.held = exchange
        return exchange, head.length, () if remembered else (notes.PENDING_LIMIT,)

    def _begin_response(self, head: Head) -> tuple[int, int, tuple[str, ...]]:
        """RFC 9112 section 6.3: what precedes the head's own framing is what the request was."""
        final = role_of(head.http) is Role.RESPONSE
        exchange, kind, certain = self.pairing.response(self.direction, final=final)
        said: tuple[str, ...] = (notes.REQUEST_UNKNOWN,) if kind is Kind.UNKNOWN else ()
        said += () if certain else (notes.PAIRING_UNCERTAIN,)
        switched = final and self._switch(head, kind, exchange)
        return exchange, 0 if switched or kind is Kind.HEAD else head.length, said

    def _switch(self, head: Head, kind: Kind, exchange: int) -> bool:
        """RFC 9110 sections 7.8 (Upgrade) and 9.3.6 (CONNECT)."""
        if head.http.status == 101:
            self.pairing.switch(head.upgrade)
        elif kind is Kind.CONNECT and head.http.status < 300:
            self.pairing.switch("")
        else:
            self.pairing.answered(exchange)
            return False
        return True

    def finish(self, end_ns: int, *, complete: bool = True, missing: int = 0) -> None:
        """The open message is over; `missing` are bytes of it that were lost outside its body."""
        opened = self.opened()
        self.out += opened.finish(self.direction, self.limits, end_ns, complete=complete, missing=missing)
        self.open = None
        if not opened.is_request:
            self.step = Step.HEAD if self.pairing.token is None else Step.SWITCHED
        else:
            self.step = Step.HELD if self.pairing.held == opened.exchange else Step.HEAD

    def cut(self, end_ns: int, why: str, missing: int = 0) -> None:
        """The open message is over before its end, and what follows it is not known."""
        opened = self.opened()
        opened.notes += (why,)
        self.finish(end_ns, complete=False, missing=missing)
        if self.step is Step.HELD:
            self.pairing.release()

    def opened(self) -> OpenMessage:
        """The message whose body arrives; the steps of a body are entered with one."""
        assert self.open is not None  # noqa: S101 - our own invariant
        return self.open

    def put_partial(self, data: bytes, start: int, stop: int, why: str, missing: int = 0) -> None:
        """A head that will not be whole becomes a message all the same: its start line is."""
        shown = data[start:stop]
        head = read_head(shown[: shown.rfind(b"\n") + 1])
        assert head is not None  # noqa: S101 - the start line was checked
        opened = self.begin(head, self.backlog.time_at(start))
        opened.body = opened.watch = None
        opened.raw = shown
        if missing:
            opened.notes += (notes.GAP,)
        self.cut(self.backlog.time_at(stop - 1), why, missing)

    def lose(self) -> None:
        """What follows is not known: look for the next head from here."""
        self.step = Step.SEARCH
        self.line_start = True

    def skip(self, data: bytes, start: int, stop: int) -> None:
        """These bytes belong to no message."""
        if start == stop:
            return
        self.say(notes.RESYNCHRONISED)
        for begin, end, time_ns in self.backlog.runs(start, stop):
            self.out += self.skipped.add(data[begin:end], time_ns)

    def put_skipped(self) -> None:
        """A head was found, or nothing more is coming."""
        self.out += self.skipped.flush()
        self.skipped.forget_gap()

    def state(self) -> HalfState:
        """What a snapshot holds of it."""
        backlog = self.backlog
        return HalfState(
            step=self.step,
            buffer=bytes(backlog.buffer),
            ends=backlog.ends,
            times=backlog.times,
            now=backlog.now,
            line_start=self.line_start,
            notes=self.said,
            open=None if self.open is None else self.open.state(),
            skipped=self.skipped.state(),
            queue=[_queued_state(chunk, time_ns) for chunk, time_ns in self.queue],
        )

    def restore(self, state: HalfState) -> None:
        """Go on from a state."""
        self.step = Step(state.step)
        backlog = self.backlog
        backlog.buffer, backlog.scan = bytearray(state.buffer), len(state.buffer)
        backlog.ends, backlog.times, backlog.now = state.ends, state.times, state.now
        self.checked = self.step is Step.HEAD and b"\n" in state.buffer
        self.line_start, self.said = state.line_start, state.notes
        self.open = None if state.open is None else OpenMessage.restore(self.direction, self.limits, state.open)
        self.skipped.restore(state.skipped)
        self.queue = [(item.data if item.missing is None else Gap(item.missing), item.time_ns) for item in state.queue]
        self.queued = sum(len(item.data) for item in state.queue)


def _queued_state(chunk: bytes | Gap, time_ns: int) -> QueuedState:
    if isinstance(chunk, Gap):
        return QueuedState(b"", chunk.missing, time_ns)
    return QueuedState(chunk, None, time_ns)
