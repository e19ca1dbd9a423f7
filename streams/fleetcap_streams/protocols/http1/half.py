"""One direction of an HTTP/1 connection: where a message ends and the next one begins, through loss and nonsense.

    HEAD ──▶ LENGTH | UNTIL_CLOSE | CHUNK_SIZE ─▶ CHUNK_DATA ─▶ CHUNK_END ─▶ CHUNK_SIZE … ─▶ TRAILERS ──▶ HEAD
    what makes no sense, or a gap that leaves the framing unknown ──▶ SEARCH ──▶ HEAD
    a request that asks for another protocol, after its body ──▶ HELD until it is answered
    the response that agrees to it ──▶ SWITCHED

What is too little for a step waits in the backlog, which is looked at only from where the last look ended, so that work stays
linear however bytes drip in.
"""

from collections.abc import Callable
from typing import Final

from fleetcap_streams.protocols.contract import Direction, End, Gap, Limits, Message
from fleetcap_streams.protocols.http1 import body_steps, chunked, head_steps, notes
from fleetcap_streams.protocols.http1.flow import Flow, Step
from fleetcap_streams.protocols.http1.head import PREFIX, could_begin
from fleetcap_streams.protocols.http1.open_message import OpenMessage
from fleetcap_streams.protocols.http1.pairing import Pairing
from fleetcap_streams.protocols.http1.search import LOOK_BACK
from fleetcap_streams.protocols.http1.state import HalfState

_STEPS: Final[dict[Step, Callable[[Flow, bytes, int], int]]] = {
    Step.HEAD: head_steps.head,
    Step.LENGTH: body_steps.length,
    Step.UNTIL_CLOSE: body_steps.until_close,
    Step.CHUNK_SIZE: body_steps.chunk_size,
    Step.CHUNK_DATA: body_steps.chunk_data,
    Step.CHUNK_END: body_steps.chunk_end,
    Step.TRAILERS: body_steps.trailers,
    Step.SEARCH: head_steps.search,
    Step.HELD: head_steps.enqueue,
    Step.SWITCHED: head_steps.enqueue,
}


class Half:
    """One direction. Every entrance returns the messages that are finished by what it was given."""

    __slots__ = ("_flow",)

    def __init__(self, direction: Direction, limits: Limits, pairing: Pairing) -> None:
        self._flow = Flow(direction, limits, pairing)

    @property
    def held(self) -> bool:
        """It waits to hear which protocol goes on."""
        return self._flow.step is Step.HELD

    def at_rest(self) -> bool:
        """Whether what comes next begins a message and nothing is noted on it."""
        flow = self._flow
        quiet = flow.open is None and not flow.said and not flow.checked and not flow.out
        return flow.step is Step.HEAD and quiet and flow.quick_allowed and not flow.backlog.buffer and not flow.backlog.ends

    def skip_whole(self, time_ns: int) -> None:
        """Whole messages came that somebody else has read; 0: none did."""
        if time_ns:
            self._flow.backlog.now = time_ns

    def feed(self, data: bytes, now: int) -> list[Message]:
        """Take bytes."""
        self._take(data, now)
        return self._give()

    def _give(self) -> list[Message]:
        out = self._flow.out
        if out:
            self._flow.out = []
        return out

    def _take(self, data: bytes, now: int) -> None:
        backlog = self._flow.backlog
        if backlog.buffer:
            backlog.grow(data, now)
            if not self._ready():
                return
            data = backlog.take()
        else:
            backlog.now = now
        self._run(data)

    def _run(self, data: bytes) -> None:
        flow = self._flow
        backlog = flow.backlog
        quick = flow.quick_allowed and not backlog.ends
        pos, size = 0, len(data)
        while pos < size:
            if quick and flow.step is Step.HEAD and not flow.said:
                pos = head_steps.quick(flow, data, pos)
                if pos == size:
                    break
            pos = _STEPS[flow.step](flow, data, pos)
        backlog.done()

    def _ready(self) -> bool:
        """Whether the backlog is enough for the current step, looking only at what is new in it."""
        flow = self._flow
        backlog = flow.backlog
        buffer, scan = backlog.buffer, backlog.scan
        backlog.scan = len(buffer)
        match flow.step:
            case Step.HEAD:
                return self._head_ready(buffer, scan)
            case Step.TRAILERS:
                return buffer[0] in b"\r\n" or self._fields_ready(buffer, scan)
            case Step.CHUNK_SIZE:
                return len(buffer) >= chunked.LINE or buffer.find(b"\n", scan) >= 0
            case Step.SEARCH:
                return len(buffer) >= 3 * LOOK_BACK or buffer.find(b"\n", scan) >= 0
            case _:
                return True

    def _head_ready(self, buffer: bytearray, scan: int) -> bool:
        if self._flow.checked:
            return self._fields_ready(buffer, scan)
        nonsense = scan < PREFIX and not could_begin(bytes(buffer[:PREFIX]))
        return nonsense or buffer.find(b"\n", scan) >= 0 or len(buffer) > self._flow.limits.head

    def _fields_ready(self, buffer: bytearray, scan: int) -> bool:
        start = max(scan - 2, 0)
        blank = buffer.find(b"\n\r\n", start) >= 0 or buffer.find(b"\n\n", start) >= 0
        return blank or len(buffer) > self._flow.limits.head

    def release(self) -> list[Message]:
        """Nobody asks for another protocol any more: what was held is HTTP."""
        self._release()
        return self._give()

    def _release(self) -> None:
        flow = self._flow
        queue, flow.queue, flow.queued = flow.queue, [], 0
        flow.step = Step.HEAD
        for chunk, time_ns in queue:
            if isinstance(chunk, Gap):
                self._gap(chunk.missing, time_ns)
            else:
                self._take(chunk, time_ns)

    def gap(self, missing: int, now: int) -> list[Message]:
        """Bytes are missing here, 0: nobody knows how many."""
        self._gap(missing, now)
        return self._give()

    def _gap(self, missing: int, now: int) -> None:
        flow = self._flow
        opened = flow.open
        match flow.step:
            case Step.HELD | Step.SWITCHED:
                flow.queue.append((Gap(missing), now))
            case Step.LENGTH | Step.CHUNK_DATA if opened and 0 < missing <= opened.remaining:
                flow.out += opened.gap(missing)
                opened.remaining -= missing
                self._after_gap(opened, now)
            case Step.UNTIL_CLOSE if opened:
                flow.out += opened.gap(missing)
            case _:
                self._interrupt(missing)

    def _after_gap(self, opened: OpenMessage, now: int) -> None:
        """The body is still in step; it may be over with the gap."""
        if opened.remaining:
            return
        if self._flow.step is Step.CHUNK_DATA:
            self._flow.step = Step.CHUNK_END
        else:
            self._flow.finish(now)

    def _interrupt(self, missing: int) -> None:
        """A gap behind which the framing is not known: finish what is open, then search."""
        flow = self._flow
        if flow.step is not Step.SEARCH:
            flow.pairing.gap(flow.direction)
        told = self._close(missing)
        if not told:
            flow.skipped.begun = flow.backlog.now >= 0
            flow.skipped.gap(missing)
            if missing:
                flow.say(notes.RESYNCHRONISED)
        flow.lose()

    def _close(self, missing: int) -> bool:
        """Put out what is unfinished, as a message if there is one, else as skipped bytes. Whether it told of `missing`."""
        flow = self._flow
        backlog, step = flow.backlog, flow.step
        last_ns = backlog.now
        data = backlog.take()
        told = False
        if flow.open is not None:
            self._close_message(flow.open, missing, last_ns)
            told = True
        elif data and step is Step.HEAD and flow.checked:
            flow.put_partial(data, 0, len(data), notes.HEAD_CUT, missing)
            data, told = b"", True
        if step in (Step.HEAD, Step.SEARCH, Step.TRAILERS):
            flow.skip(data, 0, len(data))
        flow.checked = False
        backlog.done()
        return told

    def _close_message(self, opened: OpenMessage, missing: int, last_ns: int) -> None:
        """Bytes missing beyond a body's known end are not the message's own."""
        if missing:
            own = min(missing, opened.remaining) if self._flow.step is Step.LENGTH else missing
            self._flow.out += opened.gap(own)
        self._flow.cut(last_ns, notes.BODY_CUT)

    def end(self, why: End) -> list[Message]:
        """Nothing more is coming, for now or for good."""
        flow = self._flow
        if why is End.IDLE:
            self._rest()
            return self._give()
        while flow.step is Step.HELD:
            flow.pairing.held = 0
            self._release()
        if flow.step is Step.UNTIL_CLOSE and why is End.CLOSED:
            flow.finish(flow.backlog.now)
        elif flow.step is Step.UNTIL_CLOSE:
            flow.cut(flow.backlog.now, notes.END_NOT_SEEN)
        else:
            self._close(0)
        flow.put_skipped()
        flow.step, flow.said = Step.HEAD, ()
        return self._give()

    def _rest(self) -> None:
        """Put out skipped bytes that cannot become a head any more; all else needs more bytes to be whole."""
        flow = self._flow
        if flow.step is not Step.SEARCH:
            return
        if flow.backlog.buffer:
            self._run(flow.backlog.take())
        flow.out += flow.skipped.flush()

    def leave(self) -> tuple[list[Message], list[tuple[bytes | Gap, int]]]:
        """The connection goes over to another protocol: messages so far, and what was given but belongs to it."""
        flow = self._flow
        if flow.open is not None:
            flow.cut(flow.backlog.now, notes.BODY_CUT)
        data = flow.backlog.take()
        flow.put_skipped()
        rest: list[tuple[bytes | Gap, int]] = [(data[start:stop], at) for start, stop, at in flow.backlog.runs(0, len(data))]
        return self._give(), flow.queue + rest

    def state(self) -> HalfState:
        """What a snapshot holds of it."""
        return self._flow.state()

    def restore(self, state: HalfState) -> None:
        """Go on from a state."""
        self._flow.restore(state)
