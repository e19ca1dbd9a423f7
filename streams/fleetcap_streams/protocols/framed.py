"""The loop that framed protocols share. It owns buffering, gaps and resynchronising, for both directions of a connection.

What it promises to a protocol's `Framing`: frames come in order, each once. How bytes were cut into chunks changes nothing
but times. Of a frame longer than `Limits.head` only so much is kept while the rest passes by. A hole inside a frame of known
length costs only that frame; after any other hole, and after bytes that are no frame, `find` is asked for the next one, and
the first message from there on is noted `resynchronised`. It knows nothing about any protocol.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import (
    Chunk,
    Direction,
    End,
    Gap,
    Limits,
    Message,
    Opening,
    ProtocolSpec,
    Score,
    SwitchProtocol,
    WrongProtocol,
)
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.framing import DesyncError, Frame, Framing, Handover, State

VERSION: Final = 1
REREAD: Final = 4096  # up to this size, what was taken for a frame is searched for the true one: no byte is read much too often
RESYNCHRONISED: Final = "resynchronised"


class Lane(msgspec.Struct, array_like=True):
    """One direction. Either a frame of known size is passing by, or `buffer` holds what cannot be measured yet."""

    buffer: bytearray = msgspec.field(default_factory=bytearray)
    begun: bool = False  # bytes came
    began_ns: int = 0  # when the first byte of the buffer or of the passing frame came
    size: int = 0  # of the frame that is passing by; 0: none
    passed: int = 0  # of its bytes, kept or not
    missing: int = 0
    ignored: bool = False
    seeking: bool = False
    unread: int = 0  # bytes let go while seeking
    lossy: bool = False  # bytes were missing once, so what comes first need not be a frame
    resumed: bool = False  # a frame was found again and no message has told so yet

    def take(self, data: bytes, cap: int) -> int:
        """Let bytes pass as part of the frame and return how many were."""
        length = min(len(data), self.size - self.passed)
        room = 0 if self.ignored or self.missing else cap - len(self.buffer)
        if room > 0:
            self.buffer += data[: min(length, room)]
        self.passed += length
        return length

    def finish(self, time_ns: int) -> Frame:
        """The frame that was passing by, as far as it came."""
        data, size = bytes(self.buffer), self.size
        self.buffer.clear()
        self.size = 0
        return Frame(data, size, len(data) == size, self.missing, self.began_ns, time_ns)


class FramedParser:
    """A parser as the contract wants it, made of a `Framing`."""

    __slots__ = ("_lanes", "_limits", "framing", "spoken")

    def __init__(self, framing: Framing, limits: Limits) -> None:
        self.framing = framing
        self.spoken = False
        self._lanes = [Lane(), Lane()]
        self._limits = limits

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int, began_ns: int | None = None) -> Sequence[Message]:
        """See the contract. `began_ns`: when the chunk's first byte came, where that is not when its last did."""
        out: list[Message] = []
        try:
            if isinstance(chunk, bytes):
                self._feed(direction, chunk, time_ns if began_ns is None else began_ns, time_ns, out)
            elif isinstance(chunk, Gap):
                self._gap(direction, chunk.missing, time_ns, out)
            else:
                self._end(direction, chunk, time_ns, out)
        except Handover as handover:
            raise SwitchProtocol(out, self._rest(), str(handover), self.framing.exchanges) from None
        self.spoken = self.spoken or bool(out)
        return out

    def snapshot(self) -> bytes:
        """See the contract."""
        return msgspec.msgpack.encode((VERSION, self.spoken, self._lanes, self.framing.state))

    def load(self, spoken: bool, lanes: list[Lane]) -> None:  # noqa: FBT001 - as it stands in the snapshot
        """Go on from a snapshot whose state the framing was made with."""
        self.spoken, self._lanes = spoken, lanes

    def _feed(self, direction: Direction, data: bytes, began_ns: int, time_ns: int, out: list[Message]) -> None:
        lane = self._lanes[direction]
        lane.begun = True
        if lane.seeking and self.framing.aligned(direction):
            lane.buffer.clear()
            lane.seeking, lane.resumed, lane.unread = False, True, 0
        if lane.size:
            at = lane.take(data, self._limits.head)
            if lane.passed < lane.size:
                return
            again = self._close(direction, time_ns, out)
            data, began_ns = again + data[at:], time_ns
        elif lane.buffer:
            lane.buffer += data
            data = bytes(lane.buffer)
            lane.buffer.clear()
            began_ns = lane.began_ns
        self._frames(direction, data, began_ns, time_ns, out)

    def _frames(self, direction: Direction, data: bytes, began_ns: int, time_ns: int, out: list[Message]) -> None:
        """Take every frame in `data`. What cannot be taken yet is kept, even where `parse` hands over."""
        lane, cap = self._lanes[direction], self._limits.head
        at, end = 0, len(data)
        try:
            while at < end:
                if lane.seeking:
                    at, certain = self._seek(direction, data, at, time_ns, out)
                    if not certain:
                        break
                state, size = self.framing.parse(direction, data, at)
                if state is State.INVALID or (state is State.MORE and end - at > cap):
                    at = self._refuse(direction, at, time_ns, out)
                    continue
                if state is State.MORE:
                    break
                lane.seeking = False
                if at + size > end:
                    lane.size, lane.passed, lane.missing, lane.ignored = size, 0, 0, state is State.IGNORED
                    at += lane.take(data[at:], cap)
                    break
                if state is State.DONE:
                    frame = Frame(data[at : at + min(size, cap)], size, size <= cap, 0, began_ns, time_ns)
                    if not self._stitch(direction, frame, out):
                        at += 1 if size <= REREAD else size
                        continue
                at += size
                began_ns = time_ns
        finally:
            if at < end:
                lane.buffer += data[at:]
            lane.began_ns = began_ns

    def _seek(self, direction: Direction, data: bytes, at: int, time_ns: int, out: list[Message]) -> tuple[int, bool]:
        lane = self._lanes[direction]
        place, certain = self.framing.find(direction, data, at, edge=not lane.unread)
        while not certain and len(data) - place > self._limits.head:
            place, certain = self.framing.find(direction, data, place + 1, edge=False)
        lane.unread += place - at
        if not (self.spoken or out) and lane.unread > self._limits.detection:
            raise WrongProtocol
        if certain:
            if lane.unread:
                out.extend(self.framing.lost(direction, lane.unread, time_ns))
            lane.unread, lane.resumed = 0, True
        return place, certain

    def _refuse(self, direction: Direction, at: int, time_ns: int, out: list[Message]) -> int:
        """The bytes at `at` are no frame: from where to look for one."""
        lane = self._lanes[direction]
        if lane.seeking:  # `find` had taken it for one
            lane.unread += 1
            return at + 1
        if not (self.spoken or out or any(each.lossy for each in self._lanes)):
            raise WrongProtocol
        lane.seeking = lane.lossy = True
        out.extend(self.framing.lost(direction, 1, time_ns))
        return at

    def _stitch(self, direction: Direction, frame: Frame, out: list[Message]) -> bool:
        """Whether it was a frame."""
        lane = self._lanes[direction]
        try:
            messages = self.framing.stitch(direction, frame)
        except DesyncError:
            self._refuse(direction, 0, frame.end_ns, out)
            return False
        if messages:
            out.extend(messages)
            if lane.resumed:
                self._tell(direction, messages)
        return True

    def _tell(self, direction: Direction, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.direction is direction:
                self._lanes[direction].resumed = False
                if RESYNCHRONISED not in message.notes:
                    message.notes = (*message.notes, RESYNCHRONISED)
                return

    def _close(self, direction: Direction, time_ns: int, out: list[Message]) -> bytes:
        """The passing frame is over. Returns what of it has to be read again."""
        lane = self._lanes[direction]
        ignored, frame = lane.ignored, lane.finish(time_ns)
        if ignored or self._stitch(direction, frame, out) or frame.size > REREAD:
            return b""
        return frame.data[1:]

    def _gap(self, direction: Direction, missing: int, time_ns: int, out: list[Message]) -> None:
        lane = self._lanes[direction]
        if lane.size and 0 < missing <= lane.size - lane.passed:
            lane.passed += missing
            lane.missing += missing
            if lane.passed == lane.size:
                self._close(direction, time_ns, out)
            return
        self._break_off(direction, time_ns, out)
        lane.lossy = lane.seeking = True
        # A tap that joins says so before the first bytes of each direction; the other one may tell where they begin.
        if missing or lane.begun or not self.framing.aligned(direction):
            out.extend(self.framing.lost(direction, missing, time_ns))

    def _break_off(self, direction: Direction, time_ns: int, out: list[Message]) -> None:
        """What has come of the current frame is all that will."""
        lane = self._lanes[direction]
        lane.lossy = True
        if lane.size:
            lane.missing += lane.size - lane.passed
            self._close(direction, time_ns, out)
        elif lane.buffer and not lane.seeking:
            frame = Frame(bytes(lane.buffer), len(lane.buffer), whole=False, missing=1, start_ns=lane.began_ns, end_ns=time_ns)
            self._stitch(direction, frame, out)
        lane.buffer.clear()

    def _end(self, direction: Direction, end: End, time_ns: int, out: list[Message]) -> None:
        lane = self._lanes[direction]
        if lane.seeking and lane.buffer:
            self._find_now(direction, time_ns, out)
        unread = bool(lane.buffer or lane.unread or lane.size)
        if end is not End.IDLE:
            self._break_off(direction, time_ns, out)
        out.extend(self.framing.ended(direction, end, time_ns))
        if end is not End.IDLE and unread and not (self.spoken or out):
            raise WrongProtocol

    def _find_now(self, direction: Direction, time_ns: int, out: list[Message]) -> None:
        """Nothing more comes for now, so bytes that may become a frame are passed over for later ones that are one."""
        lane = self._lanes[direction]
        data = bytes(lane.buffer)
        at, certain = 0, False
        while not certain and at + 1 < len(data):
            at, certain = self.framing.find(direction, data, at + 1, edge=False)
        if certain:
            lane.buffer.clear()
            lane.unread += at
            self._frames(direction, data[at:], lane.began_ns, time_ns, out)

    def _rest(self) -> Sequence[tuple[Direction, Chunk, int]]:
        """What was kept of both directions, oldest first."""
        held = [(lane.began_ns, direction, bytes(lane.buffer)) for direction, lane in zip(Direction, self._lanes, strict=True)]
        return [(direction, data, began_ns) for began_ns, direction, data in sorted(held) if data]


def framed_spec(
    name: str, probe: Callable[[Opening], Score], framing: type[Framing], upgrades: tuple[str, ...] = ()
) -> ProtocolSpec:
    """The registry's entry for a framed protocol."""

    def create(limits: Limits) -> FramedParser:
        return FramedParser(framing(limits), limits)

    def restore(limits: Limits, snapshot: bytes) -> FramedParser:
        try:
            version, spoken, lanes, state = msgspec.msgpack.decode(snapshot, type=tuple[int, bool, list[Lane], msgspec.Raw])
            if version != VERSION:
                raise SnapshotError(
                    f"{name}: snapshot version {version}, not {VERSION}: restore it with the version that wrote it"
                )
            parser = FramedParser(framing(limits, msgspec.msgpack.decode(state, type=framing.State)), limits)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"not a snapshot of a {name} parser: restore it with the version that wrote it") from error
        parser.load(spoken, lanes)
        return parser

    return ProtocolSpec(name, probe, create, restore, upgrades)
