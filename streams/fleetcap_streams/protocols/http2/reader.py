"""One direction's frames: split, checked, timed, and found again after a loss.

    OPENING ──preface, or SETTINGS first──▶ HEADER ⇄ PAYLOAD | PAD_LENGTH | DATA | PASS
       └──anything else──▶ SEARCH ──▶ HEADER          └──a gap over a frame's end, frames that make no sense──▶ SEARCH

A frame is handed on whole, except DATA, which is handed on as it comes. A hole inside one frame costs that frame only,
because its length says where the next one begins. Knows nothing about streams; what it finds goes to a `Sink`.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, Protocol, TypeAlias

import msgspec

from fleetcap_streams.protocols.http2.frames import (
    DEFAULT_MAX_FRAME,
    END_STREAM,
    HEADER_SIZE,
    KNOWN_TYPES,
    PADDED,
    PRIORITY_FLAG,
    ErrorCode,
    FrameType,
    header_error,
    payload_error,
)
from fleetcap_streams.protocols.http2.search import Searcher, SearchState

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
_HEADER: Final = Struct(">HBBBI")
_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_WINDOW_UPDATE: Final = int(FrameType.WINDOW_UPDATE)
_UNWANTED: Final = 0xFF  # stands for the type of a frame whose payload is to be passed over
_TRUSTED: Final = 2  # frames that fit, after which a wrong one is thought to be the peer's fault, not ours
_SEARCHED_AT_ONCE: Final = DEFAULT_MAX_FRAME  # bytes; what follows a frame that is found is copied, so it should not be much


Times: TypeAlias = tuple[int, int]
"""Unix nanoseconds of a frame's first byte and of its last, or of the last that is there."""


class Step(IntEnum):
    """Where in the stream of frames the next byte belongs."""

    OPENING = 0
    HEADER = 1
    PAYLOAD = 2
    DATA = 3
    PAD_LENGTH = 4  # of a DATA frame
    PASS = 5  # the rest of a frame nobody wants
    SEARCH = 6


class Sink(Protocol):
    """What is told of a direction."""

    def begin(self, *, client: bool) -> None:
        """The direction was seen from its first byte on; `client`: it began with the client's preface."""

    def frame(self, kind: int, flags: int, stream: int, payload: bytes, times: Times) -> None:
        """A whole frame other than DATA, of a known type, that is as the RFC says."""

    def data(self, stream: int, piece: bytes, times: Times, *, ends: bool) -> None:
        """A piece of a DATA frame, without padding; `ends`: the stream's last."""

    def data_end(self, stream: int, flags: int, end_ns: int) -> None:
        """The end of a DATA frame of which `data` did not tell it."""

    def data_hole(self, stream: int, missing: int, time_ns: int) -> None:
        """Bytes of a DATA frame are missing here."""

    def frame_lost(self, kind: int, flags: int, stream: int, times: Times) -> None:
        """A frame other than DATA of which only the header is known: a hole in it, or too large to be kept."""

    def frame_invalid(self, kind: int, flags: int, stream: int, error: int) -> None:
        """A frame that breaks RFC 9113, and was passed over."""

    def lost(self, missing: int) -> None:
        """From here on frames may be missing; 0: it is not known how many bytes."""

    def found(self) -> None:
        """The end of what `lost` began."""

    def skip(self, data: bytes, time_ns: int) -> None:
        """Bytes that belong to no frame that could be found."""


class ReaderState(msgspec.Struct, array_like=True):
    """A reader as it stands in a snapshot."""

    step: int
    buffer: bytes
    start_ns: int
    frame: tuple[int, int, int, int]
    left: int
    padding: int
    max_frame: int
    trust: int
    pushes: bool
    search: SearchState


class FrameReader:
    """Splits one direction. `max_frame` is what the other peer's SETTINGS allow; `pushes`: the connection has pushed streams."""

    __slots__ = (
        "_buffer",
        "_frame",
        "_keep",
        "_left",
        "_padding",
        "_searcher",
        "_sink",
        "_start_ns",
        "_step",
        "_todo",
        "_trust",
        "max_frame",
        "pushes",
    )

    def __init__(self, sink: Sink, keep: int) -> None:
        """`keep` is the size of the largest frame that is handed on whole."""
        self._sink = sink
        self._keep = keep
        self._step = Step.OPENING
        self._buffer = bytearray()  # the beginning of a header or of a payload
        self._start_ns = 0  # when its first byte came, if it is of a header
        self._searcher = Searcher(sink.skip)
        self._frame = (0, 0, 0, 0)  # type, flags, stream and start time of the frame that is open
        self._left = 0  # bytes of it that are still to come, without padding where that is known
        self._padding = 0
        self._trust = 0
        self._todo: list[tuple[bytes, int, int]] = []  # what to read next, last first: bytes, from where on, their time
        self.max_frame = DEFAULT_MAX_FRAME
        self.pushes = False

    @property
    def searching(self) -> bool:
        """Whether it is not known where frames begin."""
        return self._step in (Step.SEARCH, Step.OPENING)

    def feed(self, data: bytes, time_ns: int) -> None:
        """Take bytes."""
        pos = self._frames(data, 0, time_ns) if self._step is Step.HEADER and not self._buffer else 0
        if pos < len(data):
            self._todo.append((data, pos, time_ns))
            self._work()

    def gap(self, missing: int, time_ns: int) -> None:
        """Bytes are missing; 0: nobody knows how many."""
        if self._step in _IN_FRAME:
            inside = min(missing, self._left + self._padding)
            self._hole(inside, time_ns)
            if missing and inside == missing:
                return
            missing -= inside
        self.rest()  # what is lost together begins where a frame ends more often than not
        self._give_up()
        self._lose(missing)

    def rest(self) -> None:
        """Nothing more is coming for now: believe a frame that ends here."""
        if self._step is Step.SEARCH:
            self._look(b"", 0, 0, last=True)
            self._work()

    def finish(self) -> None:
        """Nothing more is coming at all: what is left over belongs to no frame."""
        self.rest()
        self._give_up()

    def _give_up(self) -> None:
        self._searcher.give_up()
        if self._buffer:
            self._sink.skip(bytes(self._buffer), self._start_ns)
            self._buffer.clear()

    def _work(self) -> None:
        while self._todo:
            data, pos, time_ns = self._todo.pop()
            while pos < len(data):
                if self._step is Step.HEADER and not self._buffer:
                    pos = self._frames(data, pos, time_ns)
                if pos < len(data):
                    pos = self._step_on(data, pos, time_ns)

    def _step_on(self, data: bytes, pos: int, time_ns: int) -> int:
        match self._step:
            case Step.OPENING:
                return self._opening(data, pos, time_ns)
            case Step.HEADER:
                return self._header(data, pos, time_ns)
            case Step.PAYLOAD:
                return self._payload(data, pos, time_ns)
            case Step.PAD_LENGTH:
                return self._pad_length(data, pos, time_ns)
            case Step.DATA:
                return self._data(data, pos, time_ns)
            case Step.PASS:
                return self._pass(data, pos, time_ns)
            case Step.SEARCH:
                return self._search(data, pos, time_ns)

    def _frames(self, data: bytes, pos: int, time_ns: int) -> int:
        """The fast path: frames that are wholly in hand and as they should be. Returns where something else begins."""
        size = len(data)
        sink = self._sink
        times = (time_ns, time_ns)
        most = min(self.max_frame, self._keep)
        while size - pos >= HEADER_SIZE:
            high, low, kind, flags, stream = _HEADER.unpack_from(data, pos)
            length: int = high << 8 | low
            begin = pos + HEADER_SIZE
            stop = begin + length
            stream &= 0x7FFF_FFFF
            if stop > size or length > most:
                break
            if kind == _HEADERS and stream and not flags & (PADDED | PRIORITY_FLAG):
                sink.frame(kind, flags, stream, data[begin:stop], times)
            elif kind == _DATA and stream and not flags & PADDED:
                sink.data(stream, data[begin:stop], times, ends=flags & END_STREAM > 0)
            elif kind == _WINDOW_UPDATE and length == 4:
                if not any(data[begin:stop]):
                    break
            elif kind == _DATA or kind >= KNOWN_TYPES or header_error(kind, flags, stream, length, most) is not None:
                break
            elif not self._whole(kind, flags, stream, data[begin:stop], times):
                return stop
            pos = stop
            self._trust += 1
        return pos

    def _whole(self, kind: int, flags: int, stream: int, payload: bytes, times: Times) -> bool:
        """Hand a frame on; whether it was as it should be."""
        error = payload_error(kind, flags, payload)
        if error is None:
            self._sink.frame(kind, flags, stream, payload, times)
            return True
        self._sink.frame_invalid(kind, flags, stream, error)
        self._trust = 0
        return False

    def _opening(self, data: bytes, pos: int, time_ns: int) -> int:
        """The client's preface, the server's SETTINGS, or the middle of a connection (section 3.4)."""
        pos = self._collect(data, pos, len(PREFACE), time_ns)
        begun = bytes(self._buffer)
        if begun == PREFACE:
            self._buffer.clear()
            self._begin(client=True)
        elif not PREFACE.startswith(begun):
            settings = _settings_begin(begun)
            if settings and len(begun) < HEADER_SIZE:
                return pos
            self._buffer.clear()
            pos = self._replay([(begun, self._start_ns)], data, pos, time_ns)
            if settings:
                self._begin(client=False)
            else:
                self._lose(0)
        return pos

    def _begin(self, *, client: bool) -> None:
        self._step = Step.HEADER
        self._trust = _TRUSTED
        self._sink.begin(client=client)

    def _header(self, data: bytes, pos: int, time_ns: int) -> int:
        pos = self._collect(data, pos, HEADER_SIZE, time_ns)
        if len(self._buffer) == HEADER_SIZE:
            header = bytes(self._buffer)
            self._buffer.clear()
            if self._enter(header):
                self._close_if_over(time_ns)
            else:
                return self._replay([(header, self._start_ns)], data, pos, time_ns)
        return pos

    def _enter(self, header: bytes) -> bool:
        """Begin a frame; False: its header makes no sense, and a search has begun."""
        high, low, kind, flags, stream = _HEADER.unpack(header)
        length, stream = high << 8 | low, stream & 0x7FFF_FFFF
        error = header_error(kind, flags, stream, length, self.max_frame)
        if length > DEFAULT_MAX_FRAME and self._trust < _TRUSTED:
            error = ErrorCode.FRAME_SIZE_ERROR
        if error is None and kind == _DATA and flags & PADDED and not length:
            error = ErrorCode.PROTOCOL_ERROR
        if error is not None:
            self._sink.frame_invalid(kind, flags, stream, error)
            if self._trust < _TRUSTED or length > self.max_frame:
                self._lose(0)
                return False
            kind, self._trust = _UNWANTED, -1
        self._trust += 1
        self._frame = (kind, flags, stream, self._start_ns)
        self._left, self._padding = length, 0
        if kind == _DATA:
            self._step = Step.PAD_LENGTH if flags & PADDED else Step.DATA
        elif kind < KNOWN_TYPES and length <= self._keep:
            self._step = Step.PAYLOAD
        else:
            self._step = Step.PASS
            if kind < KNOWN_TYPES:
                self._sink.frame_lost(kind, flags, stream, (self._start_ns, self._start_ns))
        return True

    def _payload(self, data: bytes, pos: int, time_ns: int) -> int:
        stop = min(pos + self._left, len(data))
        self._buffer += data[pos:stop]
        self._left -= stop - pos
        self._close_if_over(time_ns)
        return stop

    def _pad_length(self, data: bytes, pos: int, time_ns: int) -> int:
        """Section 6.1. Padding that is longer than what is left is a fault that ends the connection."""
        padding = data[pos]
        self._left -= 1
        if padding > self._left:
            kind, flags, stream, start_ns = self._frame
            self._sink.frame_invalid(kind, flags, stream, ErrorCode.PROTOCOL_ERROR)
            self._frame = (_UNWANTED, flags, stream, start_ns)
            self._step, self._trust = Step.PASS, 0
        else:
            self._left, self._padding = self._left - padding, padding
            self._step = Step.DATA
        self._close_if_over(time_ns)
        return pos + 1

    def _data(self, data: bytes, pos: int, time_ns: int) -> int:
        _, _, stream, start_ns = self._frame
        if self._left:
            stop = min(pos + self._left, len(data))
            self._left -= stop - pos
            self._sink.data(stream, data[pos:stop], (start_ns, time_ns), ends=False)
        else:
            stop = min(pos + self._padding, len(data))
            self._padding -= stop - pos
        self._close_if_over(time_ns)
        return stop

    def _pass(self, data: bytes, pos: int, time_ns: int) -> int:
        stop = min(pos + self._left, len(data))
        self._left -= stop - pos
        self._close_if_over(time_ns)
        return stop

    def _close_if_over(self, time_ns: int) -> None:
        if self._left or self._padding:
            return
        kind, flags, stream, start_ns = self._frame
        step, self._step = self._step, Step.HEADER
        if step is Step.PAYLOAD:
            payload = bytes(self._buffer)
            self._buffer.clear()
            self._whole(kind, flags, stream, payload, (start_ns, time_ns))
        elif kind == _DATA:
            self._sink.data_end(stream, flags, time_ns)

    def _hole(self, missing: int, time_ns: int) -> None:
        """So many bytes are missing in the open frame; 0: it is not known how many, and they need not be all in it."""
        kind, flags, stream, start_ns = self._frame
        match self._step:
            case Step.PAYLOAD:
                self._buffer.clear()
                self._sink.frame_lost(kind, flags, stream, (start_ns, time_ns))
                self._step = Step.PASS
            case Step.PAD_LENGTH:
                self._sink.data_hole(stream, self._left, time_ns)  # what is padding cannot be told any more
                self._step = Step.PASS
            case Step.DATA if self._left:
                self._sink.data_hole(stream, min(missing, self._left), time_ns)
            case _:
                pass
        inside = min(missing, self._left)
        self._left -= inside
        self._padding -= missing - inside
        if missing:
            self._close_if_over(time_ns)

    def _lose(self, missing: int) -> None:
        self._step = Step.SEARCH
        self._left = self._padding = self._trust = 0
        self._searcher.begin()
        self._sink.lost(missing)

    def _search(self, data: bytes, pos: int, time_ns: int) -> int:
        stop = pos + _SEARCHED_AT_ONCE
        self._searcher.add(data[pos:stop], time_ns)
        return self._look(data, stop, time_ns, last=False)

    def _look(self, data: bytes, pos: int, time_ns: int, *, last: bool) -> int:
        """Go on after the search where it was successful; what it holds is read before the rest of the data."""
        if not self._searcher.look(pushes=self.pushes, last=last):
            return pos
        self._step = Step.HEADER
        self._sink.found()
        return self._replay(self._searcher.take(), data, pos, time_ns)

    def _collect(self, data: bytes, pos: int, most: int, time_ns: int) -> int:
        """Fill the buffer up to `most` bytes."""
        stop = min(pos + max(most - len(self._buffer), 0), len(data))
        if stop > pos:
            if not self._buffer:
                self._start_ns = time_ns
            self._buffer += data[pos:stop]
        return stop

    def _replay(self, parts: list[tuple[bytes, int]], data: bytes, pos: int, time_ns: int) -> int:
        """Read these parts next, and then the rest of the data."""
        self._todo.append((data, pos, time_ns))
        self._todo += [(part, 0, part_ns) for part, part_ns in reversed(parts)]
        return len(data)

    def state(self) -> ReaderState:
        """What a snapshot holds of it."""
        return ReaderState(
            self._step,
            bytes(self._buffer),
            self._start_ns,
            self._frame,
            self._left,
            self._padding,
            self.max_frame,
            self._trust,
            self.pushes,
            self._searcher.state(),
        )

    def restore(self, state: ReaderState) -> None:
        """Go on from a state."""
        self._step = Step(state.step)
        self._buffer, self._start_ns = bytearray(state.buffer), state.start_ns
        self._frame, self._left, self._padding = state.frame, state.left, state.padding
        self._trust, self.max_frame, self.pushes = state.trust, state.max_frame, state.pushes
        self._searcher.restore(state.search)


def _settings_begin(begun: bytes) -> bool:
    """Whether the bytes are, or may become, the header of the SETTINGS frame that a server's first bytes must be."""
    head = begun[:HEADER_SIZE]
    fixed = b"\x00\x00" + head[2:3] + b"\x04\x00\x00\x00\x00\x00"
    return fixed.startswith(head) and (len(head) < 3 or head[2] % 6 == 0)


_IN_FRAME: Final = frozenset({Step.PAYLOAD, Step.DATA, Step.PAD_LENGTH, Step.PASS})
