"""One direction: its frames become header blocks, bodies and resets of streams."""

import msgspec

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.http2 import notes
from fleetcap_streams.protocols.http2.answers import NAME
from fleetcap_streams.protocols.http2.frames import (
    ACK,
    DEFAULT_MAX_FRAME,
    END_HEADERS,
    END_STREAM,
    LARGEST_FRAME,
    PADDED,
    PRIORITY_FLAG,
    FrameType,
    Goaway,
    Setting,
    error_name,
    fragment,
    goaway,
    promise,
    settings,
)
from fleetcap_streams.protocols.http2.heads import read_head
from fleetcap_streams.protocols.http2.hpack import Decoder, DecoderState
from fleetcap_streams.protocols.http2.limits import Http2Limits
from fleetcap_streams.protocols.http2.reader import FrameReader, ReaderState, Times
from fleetcap_streams.protocols.http2.streams import Streams
from fleetcap_streams.protocols.raw import GAP, RawBuffer, RawState

_HEADERS = int(FrameType.HEADERS)
_PUSH_PROMISE = int(FrameType.PUSH_PROMISE)
_CONTINUATION = int(FrameType.CONTINUATION)


class OpenBlock(msgspec.Struct, array_like=True):
    """A header block of which the end is still to come. `promised` is 0 but in a PUSH_PROMISE; `lost`: it cannot be read."""

    stream: int
    flags: int
    promised: int
    data: bytearray
    start_ns: int
    lost: bool


class SideState(msgspec.Struct, array_like=True):
    """A side as it stands in a snapshot."""

    reader: ReaderState
    decoder: DecoderState
    block: OpenBlock | None
    skipped: RawState
    missing: int
    holed: bool
    prefaced: bool


class Side:
    """Satisfies the reader's `Sink`. `peer` is the other direction's."""

    __slots__ = (
        "_block",
        "_direction",
        "_holed",
        "_limits",
        "_missing",
        "_now_ns",
        "_skipped",
        "_streams",
        "decoder",
        "peer",
        "prefaced",
        "reader",
    )

    def __init__(self, direction: Direction, streams: Streams, limits: Limits, own: Http2Limits) -> None:
        self._direction = direction
        self._streams = streams
        self._limits = limits
        self._block: OpenBlock | None = None
        self._skipped = RawBuffer(direction, limits.body, NAME, (notes.SKIPPED,))
        self._holed = False  # frames were lost, and nothing came since
        self._missing = 0  # bytes between the last frame and the next one
        self.decoder = Decoder(own.table, limits.headers, limits.head)
        self.reader = FrameReader(self, limits.head)
        self.peer: Side = self
        self.prefaced = False  # it began with the client's preface
        self._now_ns = 0

    def receive(self, chunk: Chunk, time_ns: int) -> None:
        """Take what happened next."""
        self._now_ns = time_ns
        if isinstance(chunk, bytes):
            if self._holed:  # the hole reaches up to here, whenever it was told
                self._streams.lost_ns[self._direction] = time_ns
                self._holed = False
            self.reader.feed(chunk, time_ns)
        elif isinstance(chunk, Gap):
            self.reader.gap(chunk.missing, time_ns)
            self._holed = self.reader.searching
        elif chunk is End.IDLE:
            self.reader.rest()
            self._flush()
        else:
            self.reader.finish()
            self._drop_block(notes.CONTINUATION_MISSING, time_ns)
            self._flush()
            self._streams.end(self._direction)

    def begin(self, *, client: bool) -> None:
        """See `Sink`."""
        self._streams.followed[self._direction] = True
        if client:
            self._streams.client = self._direction
            self.prefaced = True
        elif not self.peer.prefaced:
            self.decoder.lose()  # SETTINGS may also stand where the tap joined, so the table need not be empty

    def frame(self, kind: int, flags: int, stream: int, payload: bytes, times: Times) -> None:
        """See `Sink`."""
        if self._block is not None and (kind != _CONTINUATION or stream != self._block.stream):
            self._drop_block(notes.CONTINUATION_MISSING, times[0])
        if kind == _HEADERS:
            block = fragment(flags, payload) if flags & (PADDED | PRIORITY_FLAG) else payload
            if flags & END_HEADERS:
                decoded = self.decoder.decode(block)
                head = decoded.meaning or read_head(decoded)
                self._streams.head(self._direction, stream, head, end=bool(flags & END_STREAM), times=times)
            else:
                self._block = OpenBlock(stream, flags, 0, bytearray(block), times[0], lost=False)
        else:
            self._other(kind, flags, stream, payload, times)

    def _other(self, kind: int, flags: int, stream: int, payload: bytes, times: Times) -> None:
        match kind:
            case FrameType.CONTINUATION:
                self._continue(flags, payload, times[1])
            case FrameType.PUSH_PROMISE:
                self.reader.pushes = self.peer.reader.pushes = True
                promised, block = promise(flags, payload)
                self._block = OpenBlock(stream, 0, promised, bytearray(block), times[0], lost=False)
                if flags & END_HEADERS:
                    self._end_block(times[1])
            case FrameType.RST_STREAM:
                self._streams.reset(self._direction, stream, int.from_bytes(payload), times)
            case FrameType.SETTINGS if not flags & ACK:
                self._settings(payload)
            case FrameType.GOAWAY:
                self._goaway(goaway(payload), times)
            case _:
                pass

    def _settings(self, payload: bytes) -> None:
        """They bind the other direction."""
        for identifier, value in settings(payload):
            if identifier == Setting.HEADER_TABLE_SIZE:
                self.peer.decoder.allow(value)
            elif identifier == Setting.MAX_FRAME_SIZE:
                self.peer.reader.max_frame = min(max(value, DEFAULT_MAX_FRAME, self.peer.reader.max_frame), LARGEST_FRAME)

    def _goaway(self, said: Goaway, times: Times) -> None:
        name = error_name(said.error)
        debug = said.debug[: self._limits.body]
        self._streams.out.append(
            Message(
                NAME,
                self._direction,
                Role.SINGLE,
                0,
                *times,
                f"GOAWAY {name}\r\n\r\n".encode(),
                debug,
                len(said.debug),
                notes=(notes.GOAWAY,),
                attributes={"last_stream_id": said.last_stream, "error_code": said.error, "error": name},
            )
        )

    def _continue(self, flags: int, payload: bytes, end_ns: int) -> None:
        block = self._block
        if block is None:  # its beginning is missing
            self.decoder.lose()
            return
        if block.lost or len(block.data) + len(payload) > self._limits.head:
            self._streams.note(self._direction, notes.HEADER_BLOCK_LIMIT)
            block.lost = True
            block.data.clear()
        else:
            block.data += payload
        if flags & END_HEADERS:
            self._end_block(end_ns)

    def _end_block(self, end_ns: int) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        if block.lost:
            self._lose_block(block, end_ns)
            return
        head = read_head(self.decoder.decode(bytes(block.data)))
        if block.promised:
            self._streams.promise(self._direction, block.promised, head, (block.start_ns, end_ns))
        else:
            end = bool(block.flags & END_STREAM)
            self._streams.head(self._direction, block.stream, head, end=end, times=(block.start_ns, end_ns))

    def _drop_block(self, why: str, time_ns: int) -> None:
        """What follows an unfinished header block is not its continuation."""
        block, self._block = self._block, None
        if block is not None:
            self._streams.note(self._direction, why)
            self._lose_block(block, time_ns)

    def _lose_block(self, block: OpenBlock, end_ns: int) -> None:
        self.decoder.lose()
        if not block.promised:
            end = bool(block.flags & END_STREAM)
            self._streams.head_lost(self._direction, block.stream, end=end, times=(block.start_ns, end_ns))

    def data(self, stream: int, piece: bytes, times: Times, *, ends: bool) -> None:
        """See `Sink`."""
        if self._block is not None:
            self._drop_block(notes.CONTINUATION_MISSING, times[0])
        self._streams.data(self._direction, stream, piece, times, ends=ends)

    def data_end(self, stream: int, flags: int, end_ns: int) -> None:
        """See `Sink`."""
        self._streams.data_end(self._direction, stream, flags, end_ns)

    def data_hole(self, stream: int, missing: int, time_ns: int) -> None:
        """See `Sink`."""
        self._streams.data_hole(self._direction, stream, missing, time_ns)

    def frame_lost(self, kind: int, flags: int, stream: int, times: Times) -> None:
        """See `Sink`."""
        if kind not in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
            return
        block, self._block = self._block, None
        if kind == _HEADERS and not flags & END_HEADERS:
            self._block = OpenBlock(stream, flags, 0, bytearray(), times[0], lost=True)
        elif kind == _HEADERS:
            self._lose_block(OpenBlock(stream, flags, 0, bytearray(), times[0], lost=True), times[1])
        elif block is not None and not flags & END_HEADERS:
            block.lost = True
            block.data.clear()
            self._block = block
        elif block is not None:
            self._lose_block(block, times[1])
        self.decoder.lose()

    def frame_invalid(self, kind: int, flags: int, stream: int, error: int) -> None:
        """See `Sink`."""
        name = FrameType(kind).name if kind in FrameType.__members__.values() else "UNKNOWN"
        self._streams.note(self._direction, f"{notes.FRAME_INVALID}:{name}:{error_name(error)}")
        if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
            self.frame_lost(kind, flags, stream, (self._now_ns, self._now_ns))

    def lost(self, missing: int) -> None:
        """See `Sink`."""
        self._block = None
        self.decoder.lose()
        self.peer.decoder.allowed = None  # SETTINGS may be among what is missing
        self.peer.reader.max_frame = LARGEST_FRAME
        self._missing += missing
        self._skipped.gap(missing)
        self._streams.lost(self._direction, self._now_ns)

    def found(self) -> None:
        """See `Sink`."""
        direction, streams = self._direction, self._streams
        self._flush()
        if self._missing:
            streams.out.append(
                Message(
                    NAME,
                    direction,
                    Role.SINGLE,
                    0,
                    self._now_ns,
                    self._now_ns,
                    complete=False,
                    missing_bytes=self._missing,
                    notes=(notes.SKIPPED, GAP),
                )
            )
        self._missing = 0
        self._skipped.forget_gap()
        streams.found(direction)

    def skip(self, data: bytes, time_ns: int) -> None:
        """See `Sink`."""
        self._streams.lost_ns[self._direction] = time_ns
        self._streams.out += self._skipped.add(data, time_ns)

    def _flush(self) -> None:
        messages = self._skipped.flush()
        if messages:
            self._missing = 0
        self._streams.out += messages

    def state(self) -> SideState:
        """What a snapshot holds of it."""
        reader, decoder, skipped = self.reader.state(), self.decoder.state(), self._skipped.state()
        return SideState(reader, decoder, self._block, skipped, self._missing, self._holed, self.prefaced)

    def restore(self, state: SideState) -> None:
        """Go on from a state."""
        self.reader.restore(state.reader)
        self.decoder.restore(state.decoder)
        self._block = state.block
        self._skipped.restore(state.skipped)
        self._missing, self._holed, self.prefaced = state.missing, state.holed, state.prefaced
