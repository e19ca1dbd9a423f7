"""One direction of a WebSocket connection: frames to messages, and finding frames again after a loss."""

from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Direction, End, Limits, Message, WrongProtocol
from fleetcap_streams.protocols.websocket.frames import MOST_HEADER, Header, Invalid, Opcode, Run, follow, read_header, unmask
from fleetcap_streams.protocols.websocket.inflate import Context
from fleetcap_streams.protocols.websocket.message import CUT, GAP, JOINED, RESYNCHRONISED, OpenMessage, OpenState

RUN: Final = 3  # headers in a row that are no accident: each is one in some forty of random bytes
SEARCHED: Final = 16 * 1024  # kept while a frame is looked for


class FrameState(msgspec.Struct, array_like=True):
    """The frame whose payload arrives."""

    left: int
    key: bytes
    taken: int
    final: bool
    control: bool


class SideState(msgspec.Struct, array_like=True):
    """A side as it stands in a snapshot."""

    buffer: bytes
    began_ns: int
    seeking: bool
    joined: bool
    edge: bool
    spoken: bool
    skipped: int
    frame: FrameState | None
    data: OpenState | None
    control: OpenState | None
    context: Context


class Side:
    """`spoken`: a message has come out of the connection, so that it is certainly a WebSocket."""

    __slots__ = (
        "_began_ns",
        "_buffer",
        "_context",
        "_control",
        "_data",
        "_direction",
        "_edge",
        "_frame",
        "_joined",
        "_limits",
        "_out",
        "_seeking",
        "_skipped",
        "spoken",
    )

    def __init__(self, direction: Direction, limits: Limits) -> None:
        self._direction = direction
        self._limits = limits
        self._buffer = b""  # a header that is not whole, or what is searched
        self._began_ns = 0  # when its first byte came
        self._seeking = False
        self._edge = False  # what is searched begins where a hole ended, as frames often do
        self._joined = False  # frames of the first message found may have passed by unseen
        self._skipped = 0  # bytes that could not be read, since the last message
        self._frame: FrameState | None = None
        self._data: OpenMessage | None = None  # of data, between its first frame and its last
        self._control: OpenMessage | None = None
        self._context = Context()
        self._out: list[Message] = []
        self.spoken = False

    def feed(self, data: bytes, time_ns: int) -> list[Message]:
        """Take bytes and return the messages that they finish."""
        at = 0
        while at < len(data) or (self._frame is not None and not self._frame.left):
            if self._frame is not None:
                at += self._pass(self._frame, data, at, time_ns)
            elif self._seeking:
                data, at = self._search(data[at:], time_ns, last=False), 0
                if self._seeking:
                    break
            else:
                at = self._head(data, at, time_ns)
        return self._given()

    def _given(self) -> list[Message]:
        out, self._out = self._out, []
        return out

    def _head(self, data: bytes, at: int, time_ns: int) -> int:
        """Read a header, or keep what there is of one; how far the data is used."""
        kept, began_ns = self._buffer, self._began_ns if self._buffer else time_ns
        piece = kept + data[at : at + MOST_HEADER]
        try:
            header = read_header(piece)
            if header is not None:
                self._begin(header, began_ns)
        except Invalid:
            return self._refuse(at)
        if header is None:
            self._buffer, self._began_ns = piece, began_ns
            return len(data)
        self._buffer = b""
        return at + header.size - len(kept)

    def _begin(self, header: Header, start_ns: int) -> None:
        control = header.opcode >= Opcode.CLOSE
        if control:
            self._control = self._opened(header, start_ns)
        elif header.opcode is Opcode.CONTINUATION and self._data is not None:
            self._data.frames += 1
        elif self._data is not None or (header.opcode is Opcode.CONTINUATION and not self._joined):
            raise Invalid
        else:
            self._data = self._opened(header, start_ns)
        if not control:
            self._joined = False
        self._frame = FrameState(header.length, header.key, 0, header.final, control)

    def _opened(self, header: Header, start_ns: int) -> OpenMessage:
        notes: tuple[str, ...] = ()
        if self._skipped:
            notes, self._skipped = (RESYNCHRONISED,), 0
        if header.opcode is Opcode.CONTINUATION:
            notes += (JOINED,)
            self._context.forget()
        return OpenMessage(self._limits, header.opcode, start_ns, notes, compressed=header.compressed)

    def _refuse(self, at: int) -> int:
        """No frame begins here."""
        if not self.spoken and not self._out and not self._joined:
            raise WrongProtocol
        self._lose()
        self._skipped += 1
        return at

    def _lose(self) -> None:
        """What comes next is not known."""
        self._seeking = self._joined = self._edge = True
        self._context.forget()

    def _pass(self, frame: FrameState, data: bytes, at: int, time_ns: int) -> int:
        """Payload; how much of it there was."""
        opened = self._control if frame.control else self._data
        assert opened is not None  # noqa: S101 - a frame belongs to an open message
        piece = data[at : at + frame.left]
        opened.feed(unmask(piece, frame.key, frame.taken))
        frame.taken += len(piece)
        frame.left -= len(piece)
        if not frame.left:
            self._end_frame(frame, opened, time_ns)
        return len(piece)

    def _end_frame(self, frame: FrameState, opened: OpenMessage, time_ns: int) -> None:
        self._frame = None
        if frame.final:
            self._finish(opened, time_ns, whole=True)

    def _finish(self, opened: OpenMessage, time_ns: int, *, whole: bool) -> None:
        self._out.append(opened.finish(self._direction, time_ns, self._context, whole=whole))
        if opened is self._control:
            self._control = None
        else:
            self._data = None

    def gap(self, missing: int, time_ns: int) -> list[Message]:
        """Bytes are lost. Inside a payload it is known where the next frame begins; anywhere else it is not."""
        frame = self._frame
        if frame is not None and 0 < missing <= frame.left:
            opened = self._control if frame.control else self._data
            assert opened is not None  # noqa: S101 - a frame belongs to an open message
            opened.gap(missing)
            frame.left -= missing
            frame.taken += missing
            if not frame.left:
                self._end_frame(frame, opened, time_ns)
            return self._given()
        self._break_off(time_ns, max(missing, 1), GAP)
        self._lose()
        return self._given()

    def _break_off(self, time_ns: int, missing: int, why: str) -> None:
        """What is open will not be whole."""
        for opened in (self._control, self._data):
            if opened is not None:
                if why is GAP:
                    opened.gap(missing)
                else:
                    opened.notes += (why,)
                self._finish(opened, time_ns, whole=False)
        self._frame = None
        self._skipped += len(self._buffer)
        self._buffer = b""

    def _search(self, data: bytes, time_ns: int, *, last: bool) -> bytes:
        """Look for a run of frames; the bytes from there on, or what is kept to look again."""
        if not self._buffer:
            self._began_ns = time_ns
        data = self._buffer + data
        self._buffer = b""
        place = 0
        while place < len(data):
            run = follow(data, place, RUN)
            edge = not place and self._edge
            if run.frames >= RUN or (last and _ends_with(run, data, edge=edge)):
                self._seeking = False
                self._skipped += place + 1  # one more, so that a message right behind a hole tells of it, too
                return data[place:]
            if run.sound and not last and len(data) - place <= SEARCHED:
                break  # more bytes may make it a run
            place += 1
        self._skipped += place
        self._edge = self._edge and not place
        self._buffer = b"" if last else data[place:]
        return b""

    def end(self, end: End, time_ns: int) -> list[Message]:
        """Nothing more comes, for now or for good."""
        if self._seeking and self._buffer:
            found = self._search(b"", time_ns, last=end is not End.IDLE or self._ends_whole())
            if found:
                self._out += self.feed(found, time_ns)
        if end is not End.IDLE:
            unread = bool(self._buffer or self._frame) and not (self.spoken or self._out)
            self._break_off(time_ns, 0, CUT)
            if unread and not self._out:
                raise WrongProtocol
        return self._given()

    def _ends_whole(self) -> bool:
        """Whether a run of frames ends with the bytes there are, so that looking further would be waiting for nothing."""
        data = self._buffer
        places = range(len(data))
        return any(_ends_with(follow(data, place, RUN), data, edge=not place and self._edge) for place in places)

    def state(self) -> SideState:
        """What a snapshot holds of it."""
        return SideState(
            self._buffer,
            self._began_ns,
            self._seeking,
            self._joined,
            self._edge,
            self.spoken,
            self._skipped,
            self._frame,
            None if self._data is None else self._data.state(),
            None if self._control is None else self._control.state(),
            self._context,
        )

    def restore(self, state: SideState) -> None:
        """Go on from a state."""
        self._buffer, self._began_ns, self._seeking = state.buffer, state.began_ns, state.seeking
        self._joined, self._edge = state.joined, state.edge
        self.spoken, self._skipped = state.spoken, state.skipped
        self._frame, self._context = state.frame, state.context
        self._data = None if state.data is None else OpenMessage.restore(self._limits, state.data)
        self._control = None if state.control is None else OpenMessage.restore(self._limits, state.control)


def _ends_with(run: Run, data: bytes, *, edge: bool) -> bool:
    """Whether frames end just where the data does, which one frame may do by accident."""
    return run.sound and run.end == len(data) and run.frames >= (1 if edge else 2)
