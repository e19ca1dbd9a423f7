"""The entrance: one WebSocket connection (RFC 6455, RFC 7692), behind HTTP's upgrade or joined in the middle."""

from collections.abc import Sequence
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Chunk, Direction, Gap, Limits, Message, Opening, ProtocolSpec, Score
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.websocket.frames import follow
from fleetcap_streams.protocols.websocket.message import NAME
from fleetcap_streams.protocols.websocket.side import RUN, Side, SideState

VERSION: Final = 1


class _State(msgspec.Struct, array_like=True):
    version: int
    sides: tuple[SideState, SideState]


class WebSocketParser:
    """Each direction is read by itself: which of them is the client's shows in its frames, which are masked."""

    __slots__ = ("_sides",)

    def __init__(self, limits: Limits) -> None:
        self._sides = (Side(Direction.RECEIVED, limits), Side(Direction.SENT, limits))

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """See the contract."""
        side = self._sides[direction]
        if isinstance(chunk, bytes):
            messages = side.feed(chunk, time_ns)
        elif isinstance(chunk, Gap):
            messages = side.gap(chunk.missing, time_ns)
        else:
            messages = side.end(chunk, time_ns)
        if messages and not side.spoken:
            for each in self._sides:
                each.spoken = True
        return messages

    def snapshot(self) -> bytes:
        """Bounded: for each direction an open message of data and one of control, and a context of 32 KiB."""
        received, sent = (side.state() for side in self._sides)
        return msgspec.msgpack.encode(_State(VERSION, (received, sent)))

    @classmethod
    def restore(cls, limits: Limits, snapshot: bytes) -> "WebSocketParser":
        """Go on from a snapshot.

        Raises:
            SnapshotError: it is not one of this parser's.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_State)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"not a snapshot of the {NAME} parser: restore it with the version that wrote it") from error
        if state.version != VERSION:
            raise SnapshotError(f"{NAME}: snapshot version {state.version}, not {VERSION}: restore it with what wrote it")
        parser = cls(limits)
        for side, part in zip(parser._sides, state.sides, strict=True):
            side.restore(part)
        return parser


def probe(opening: Opening) -> Score:
    """Only of a joined connection: any other one begins with HTTP. YES needs runs in both directions, one of them masked."""
    if not opening.joined:
        return Score.NO
    runs = [follow(data, 0, RUN) for data in (opening.received, opening.sent) if data]
    if not all(run.sound for run in runs):
        return Score.NO
    masked = [run for run in runs if run.masked]
    if len(masked) == len(runs) == 2:
        return Score.NO
    plain = sum(run.frames for run in runs if not run.masked)
    return Score.YES if masked and masked[0].frames >= RUN and (plain or len(runs) == 1) else Score.MORE


SPEC: Final = ProtocolSpec(NAME, probe, WebSocketParser, WebSocketParser.restore, ("websocket",))
