"""Finding frames again where their boundary is not known: after a gap, or in a connection that was open already.

A candidate is *strong* when its own bytes are too particular to be anything else; it is believed at once. Any other is
believed when a strong one, or two more headers, follow it where they have to be. Verdicts depend on bytes alone, not on
how they came.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from fleetcap_streams.protocols.http2.frames import (
    ACK,
    DEFAULT_MAX_FRAME,
    END_HEADERS,
    END_STREAM,
    HEADER_SIZE,
    KNOWN_TYPES,
    LAYOUTS,
    FrameType,
    fragment,
    header_error,
    number,
    payload_error,
    settings,
)
from fleetcap_streams.protocols.http2.heads import could_be_head
from fleetcap_streams.protocols.http2.hpack import Decoder

# Type and flags as section 6 has them, lengths of the types that have but one. Runs in C over what is searched.
_PLAUSIBLE: Final = re.compile(
    rb"(?!\x00{5})\x00(?:"  # an empty DATA frame is not sent, and zeros are common
    rb"[\x00-\x40][\x00-\xff](?:\x00[\x00\x01\x08\x09](?!\x00{4})|\x01[\x00\x01\x04\x05\x08\x09\x0c\x0d\x20\x21\x24\x25\x28\x29\x2c\x2d]"
    rb"|\x04\x00|\x05[\x00\x04\x08\x0c]|\x07\x00|\x09[\x00\x04])"
    rb"|\x00(?:\x00\x04\x01|\x05\x02\x00|\x04[\x03\x08]\x00|\x08\x06[\x00\x01])"
    rb")[\x00-\x7f][\x00-\xff]{3}"
)
_EXTENSIONS: Final = frozenset({0xA, 0xC, 0x10})  # ALTSVC, ORIGIN, PRIORITY_UPDATE
_MOST_SETTINGS: Final = 24
_STREAMS_APART: Final = 1 << 16
_MOST_ERROR: Final = 0x20
_DEBUG: Final = re.compile(rb"[\t\r\n\x20-\x7e]*")
_HEAD_SIZE: Final = 4096  # of a header block that is decoded in order to judge it; such a block is one of a few per search
_OF_MESSAGES: Final = (FrameType.DATA, FrameType.HEADERS, FrameType.CONTINUATION, FrameType.PUSH_PROMISE)


# A candidate waits for two frames of 16 KiB at most, and the tighter they stand the fewer can be true.
_MOST_WAITING: Final = 256
_FOLLOWING: Final = 2
_DECODES: Final = 64  # header blocks that one search may decode in order to judge them, so that work stays linear

Mark: TypeAlias = tuple[int, int]
"""A number of bytes, and when they came."""


class SearchState(msgspec.Struct, array_like=True):
    """A search as it stands in a snapshot."""

    buffer: bytes
    marks: list[Mark]
    waiting: list[int]
    scanned: int
    decodes: int


class Verdict(Enum):
    """What to make of a candidate."""

    FRAME = "frame"
    NO = "no"
    MORE = "more"  # cannot tell before there are more bytes


class Searcher:
    """The bytes among which frames are looked for. What cannot belong to one is given to `skip` with its time."""

    __slots__ = ("_decodes", "_marks", "_scanned", "_skip", "_waiting", "buffer")

    def __init__(self, skip: Callable[[bytes, int], None]) -> None:
        self._skip = skip
        self.buffer = bytearray()
        self._marks: list[Mark] = []
        self._waiting: list[int] = []  # places of candidates that cannot be judged yet
        self._scanned = 0  # up to here there are no other candidates
        self._decodes = _DECODES

    @property
    def puzzled(self) -> bool:
        """Whether there are bytes that may be a frame, for all that is known."""
        return bool(self._waiting)

    def begin(self) -> None:
        """A new search, from the bytes on that are given next."""
        self._decodes = _DECODES

    def add(self, data: bytes, time_ns: int) -> None:
        """More bytes; `look` is to follow."""
        self.buffer += data
        self._marks.append((len(data), time_ns))

    def look(self, *, pushes: bool, last: bool) -> bool:
        """Whether the bytes, without those that are let go, begin with a frame now.

        `pushes`: even streams may carry messages. `last`: nothing more is coming for now, so that a frame that ends where
        the bytes end is believed.
        """
        waiting: list[int] = []
        for at in self._candidates():
            verdict = self._judge(at, pushes=pushes, last=last)
            if verdict is Verdict.FRAME:
                self._waiting = [later - at for later in self._waiting if later > at]
                self._let_go(at)
                return True
            if verdict is Verdict.MORE and len(waiting) < _MOST_WAITING:
                waiting.append(at)
        size = len(self.buffer)
        self._scanned = max(self._scanned, size - HEADER_SIZE + 1)
        begin = waiting[0] if waiting else min(self._scanned, size)
        self._waiting = [at - begin for at in waiting]
        self._let_go(begin)
        return False

    def _candidates(self) -> Iterator[int]:
        """Places that look like a header: those known from before, and then, found only when asked for, the others."""
        yield from self._waiting
        while (match := _PLAUSIBLE.search(self.buffer, self._scanned)) is not None:
            at = match.start()
            del match  # it would keep the buffer from being cut
            self._scanned = at + 1
            yield at

    def take(self) -> list[tuple[bytes, int]]:
        """All bytes there are, in parts that came at one time each."""
        parts: list[tuple[bytes, int]] = []
        start = 0
        for length, time_ns in self._marks:
            parts.append((bytes(self.buffer[start : start + length]), time_ns))
            start += length
        self.buffer = bytearray()
        self._marks, self._waiting, self._scanned = [], [], 0
        return parts

    def give_up(self) -> None:
        """What is here belongs to no frame."""
        for part, time_ns in self.take():
            self._skip(part, time_ns)

    def _judge(self, at: int, *, pushes: bool, last: bool) -> Verdict:
        data = self.buffer
        length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
        stop = at + HEADER_SIZE + length
        begin = bytes(data[at : at + HEADER_SIZE])
        if not _header_fits(begin, 0, pushes=pushes) or (kind == FrameType.DATA and not length and not flags & END_STREAM):
            return Verdict.NO  # an empty DATA frame is not sent, and padding full of zeros before a header looks like it
        if stop > len(data):
            return Verdict.MORE
        alone = self._judge_alone(kind, flags, bytes(data[at + HEADER_SIZE : stop]))
        return self._follow(begin, stop, pushes=pushes, last=last) if alone is Verdict.MORE else alone

    def _judge_alone(self, kind: int, flags: int, payload: bytes) -> Verdict:
        """By its own bytes; MORE: they do not tell."""
        if payload_error(kind, flags, payload) is not None:
            return Verdict.NO
        decode = kind == FrameType.HEADERS and len(payload) <= _HEAD_SIZE and self._decodes > 0
        self._decodes -= decode
        return _strong(kind, flags, payload, decode=decode)

    def _follow(self, header: bytes, stop: int, *, pushes: bool, last: bool) -> Verdict:
        """By what follows: a strong frame, or enough headers that fit."""
        data = self.buffer
        for _ in range(_FOLLOWING):
            if last and stop == len(data):
                return Verdict.FRAME
            following = bytes(data[stop : stop + HEADER_SIZE])
            if len(following) < HEADER_SIZE:
                return Verdict.MORE
            if not _header_fits(following, number(header, 5), pushes=pushes):
                return Verdict.NO
            header = following
            begin, stop = stop + HEADER_SIZE, stop + HEADER_SIZE + int.from_bytes(header[:3])
            if stop <= len(data) and self._judge_alone(header[3], header[4], bytes(data[begin:stop])) is Verdict.FRAME:
                return Verdict.FRAME
        return Verdict.FRAME

    def _let_go(self, count: int) -> None:
        done = 0
        while done < count:
            length, time_ns = self._marks.pop(0)
            part = min(length, count - done)
            if part < length:
                self._marks.insert(0, (length - part, time_ns))
            self._skip(bytes(self.buffer[done : done + part]), time_ns)
            done += part
        del self.buffer[:count]
        self._scanned -= count

    def state(self) -> SearchState:
        """What a snapshot holds of it."""
        return SearchState(bytes(self.buffer), list(self._marks), list(self._waiting), self._scanned, self._decodes)

    def restore(self, state: SearchState) -> None:
        """Go on from a state."""
        self.buffer, self._marks = bytearray(state.buffer), list(state.marks)
        self._waiting, self._scanned, self._decodes = list(state.waiting), state.scanned, state.decodes


def _strong(kind: int, flags: int, payload: bytes, *, decode: bool) -> Verdict:
    match kind:
        case FrameType.SETTINGS:
            pairs = settings(payload)
            fits = bool(flags & ACK) or 0 < len(pairs) <= _MOST_SETTINGS
            return Verdict.FRAME if fits and all(_known_setting(key) for key, _ in pairs) else Verdict.NO
        case FrameType.GOAWAY:
            if int.from_bytes(payload[4:8]) > _MOST_ERROR:
                return Verdict.NO
            # Debug data may be anything, but is text wherever it is sent; zeros of binary protocols are no proof.
            return Verdict.FRAME if _DEBUG.fullmatch(payload, 8) else Verdict.MORE
        case FrameType.RST_STREAM:
            return Verdict.FRAME if int.from_bytes(payload) <= _MOST_ERROR else Verdict.NO
        case FrameType.PING | FrameType.WINDOW_UPDATE | FrameType.PRIORITY:
            return Verdict.FRAME
        case FrameType.HEADERS if flags & END_HEADERS and decode and len(payload) <= _HEAD_SIZE:
            block = Decoder(_HEAD_SIZE, _HEAD_SIZE, _HEAD_SIZE, joined=True).decode(fragment(flags, payload))
            return Verdict.FRAME if could_be_head(block) else Verdict.MORE
        case _:
            return Verdict.MORE


def _known_setting(identifier: int) -> bool:
    """Registered ones, and those that are sent as grease."""
    return 1 <= identifier <= 0x10 or identifier & 0x0F0F == 0x0A0A


def _header_fits(header: bytes, before: int, *, pushes: bool) -> bool:
    """Whether these may be the 9 bytes before a payload.

    `before` is the stream of the frame before, 0: none. Streams that speak at the same time have numbers that are close.
    """
    length, kind, flags, stream = int.from_bytes(header[:3]), header[3], header[4], int.from_bytes(header[5:9])
    if stream >> 31 or header_error(kind, flags, stream, length, DEFAULT_MAX_FRAME) is not None:
        return False
    if stream and before and abs(stream - before) > _STREAMS_APART:
        return False
    if kind in _OF_MESSAGES and not (stream % 2 or pushes):
        return False
    return not flags & ~LAYOUTS[kind].flags if kind < KNOWN_TYPES else kind in _EXTENSIONS
