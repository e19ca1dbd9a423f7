"""The default parser: bytes as they are, in the order of each direction. It takes whatever nobody else can read.

A message is what one direction said between two ends, as in the reference; a busy connection that never rests is cut into
messages of at most `Limits.body` bytes, so that nothing is lost and memory stays bounded. How bytes are shown is not known
here.

Notes: `split` the next message continues this one; `gap` bytes are missing inside or before it; `joined` the tap came in
when the connection was open already.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from fleetcap_streams.protocols import sha256
from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Message, Role
from fleetcap_streams.protocols.errors import SnapshotError

NAME: Final = "raw"
SPLIT: Final = "split"
GAP: Final = "gap"
JOINED: Final = "joined"


class RawState(msgspec.Struct, array_like=True):
    """One direction's bytes as they stand in a snapshot."""

    data: bytes
    start_ns: int
    end_ns: int
    missing: int
    notes: tuple[str, ...]
    begun: bool


class _ParserState(msgspec.Struct, array_like=True):
    protocol: str
    notes: tuple[str, ...]
    directions: tuple[RawState, RawState]


class RawBuffer:
    """Bytes of one direction that wait to be put out; `always` are notes that each message carries.

    `begun`: something was seen of this direction, so that what is missing is missing in its middle.
    """

    __slots__ = ("_always", "_data", "_direction", "_end_ns", "_limit", "_missing", "_notes", "_protocol", "_start_ns", "begun")

    def __init__(self, direction: Direction, limit: int, protocol: str = NAME, always: tuple[str, ...] = ()) -> None:
        self._direction = direction
        self._limit = max(limit, 1)
        self._protocol = protocol
        self._always = always
        self._data = bytearray()
        self._start_ns = self._end_ns = self._missing = 0
        self._notes: tuple[str, ...] = ()
        self.begun = False

    def __bool__(self) -> bool:
        """Whether a flush would give a message."""
        return bool(self._data)

    def add(self, data: bytes, time_ns: int) -> list[Message]:
        """Take bytes; the messages that are full now."""
        messages: list[Message] = []
        self.begun = True
        start = 0
        while start < len(data):
            if len(self._data) == self._limit:
                self._note(SPLIT)
                messages += self.flush()
            if not self._data:
                self._start_ns = time_ns
            end = start + self._limit - len(self._data)
            self._data += data[start:end]
            self._end_ns = time_ns
            start = end
        return messages

    def gap(self, missing: int) -> None:
        """Bytes are missing here; 0: nobody knows how many. They are told by the message before or else after them."""
        if not missing and not self._data and JOINED in self._notes:
            return
        self._missing += missing
        self._note(GAP if missing or self.begun else JOINED)
        self.begun = True

    def forget_gap(self) -> None:
        """What is missing was told elsewhere."""
        self._missing, self._notes = 0, ()

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes = (*self._notes, note)

    def flush(self) -> list[Message]:
        """Everything that waits, as a message; a gap alone makes none."""
        if not self._data:
            return []
        body = bytes(self._data)
        holed = GAP in self._notes
        message = Message(
            self._protocol,
            self._direction,
            Role.SINGLE,
            0,
            self._start_ns,
            self._end_ns,
            body=body,
            body_size=len(body),
            body_sha256=b"" if holed else sha256.digest(body),
            encoded_size=len(body),
            complete=not holed and JOINED not in self._notes,
            missing_bytes=self._missing,
            notes=self._always + self._notes,
        )
        self._data = bytearray()
        self._missing, self._notes = 0, ()
        return [message]

    def state(self) -> RawState:
        """What a snapshot holds of it."""
        return RawState(bytes(self._data), self._start_ns, self._end_ns, self._missing, self._notes, self.begun)

    def restore(self, state: RawState) -> None:
        """Go on from a state."""
        self._data = bytearray(state.data)
        self._start_ns, self._end_ns, self._missing = state.start_ns, state.end_ns, state.missing
        self._notes, self.begun = state.notes, state.begun


class RawParser:
    """Both directions of a connection, as they are, under the name of `protocol`; `notes` are on every message."""

    __slots__ = ("_buffers", "_notes", "_protocol")

    def __init__(self, limits: Limits, protocol: str = NAME, notes: tuple[str, ...] = ()) -> None:
        self._protocol = protocol
        self._notes = notes
        self._buffers = tuple(RawBuffer(direction, limits.body, protocol, notes) for direction in Direction)

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """Keep bytes until an end, or until there are `Limits.body` of them."""
        buffer = self._buffers[direction]
        match chunk:
            case bytes():
                return buffer.add(chunk, time_ns)
            case Gap():
                buffer.gap(chunk.missing)
                return ()
            case End():
                return buffer.flush()

    def snapshot(self) -> bytes:
        """At most two times `Limits.body`."""
        received, sent = (buffer.state() for buffer in self._buffers)
        return msgspec.msgpack.encode(_ParserState(self._protocol, self._notes, (received, sent)))

    @classmethod
    def restore(cls, limits: Limits, snapshot: bytes) -> "RawParser":
        """Go on from a snapshot.

        Raises:
            SnapshotError: it is not one of this parser's.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_ParserState)
        except msgspec.DecodeError as error:
            raise SnapshotError("not a snapshot of the raw parser: restore it with the version that wrote it") from error
        parser = cls(limits, state.protocol, state.notes)
        for buffer, part in zip(parser._buffers, state.directions, strict=True):
            buffer.restore(part)
        return parser
