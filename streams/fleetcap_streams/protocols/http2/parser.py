"""The entrance: one `Http2Parser` for each connection, both directions, from any byte on."""

from collections.abc import Sequence
from typing import Final

import msgspec

from fleetcap_streams.protocols.contract import Chunk, Direction, Limits, Message, ProtocolSpec
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.http2.answers import NAME
from fleetcap_streams.protocols.http2.limits import Http2Limits
from fleetcap_streams.protocols.http2.probe import probe
from fleetcap_streams.protocols.http2.side import Side, SideState
from fleetcap_streams.protocols.http2.streams import Streams, StreamsState

VERSION: Final = 2


class ParserState(msgspec.Struct, array_like=True):
    """The form of a snapshot. A worker of another version must refuse it, hence `version`."""

    version: int
    sides: tuple[SideState, SideState]
    streams: StreamsState


class Http2Parser:
    """Satisfies `Parser`. Never raises because of what bytes say."""

    __slots__ = ("_sides", "_streams")

    def __init__(self, limits: Limits, own: Http2Limits | None = None, *, upgrade: int | None = None) -> None:
        """`upgrade` is the exchange of the HTTP/1 request that asked for h2c: stream 1 answers it (RFC 7540 section 3.2)."""
        own = own or Http2Limits()
        self._streams = Streams(limits, own)
        self._streams.upgrade = upgrade
        self._sides = (
            Side(Direction.RECEIVED, self._streams, limits, own),
            Side(Direction.SENT, self._streams, limits, own),
        )
        self._sides[0].peer, self._sides[1].peer = self._sides[1], self._sides[0]

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """Take what happened next in one direction and return the messages that are finished by it, in order."""
        self._sides[direction].receive(chunk, time_ns)
        messages = self._streams.out
        if messages:
            self._streams.out = []
        return messages

    def snapshot(self) -> bytes:
        """Bounded by the limits: two tables, two unfinished frames and header blocks, skipped bytes, and what streams hold."""
        received, sent = (side.state() for side in self._sides)
        return msgspec.msgpack.encode(ParserState(VERSION, (received, sent), self._streams.state()))

    @classmethod
    def restore(cls, limits: Limits, snapshot: bytes, own: Http2Limits | None = None) -> "Http2Parser":
        """Go on from a snapshot.

        Raises:
            SnapshotError: it is not one of this parser's, or of another version.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=ParserState)
        except msgspec.DecodeError as error:
            raise SnapshotError("not a snapshot of the HTTP/2 parser: restore it with the version that wrote it") from error
        if state.version != VERSION:
            raise SnapshotError(f"snapshot version {state.version}, not {VERSION}: restore it with the version that wrote it")
        parser = cls(limits, own)
        for side, saved in zip(parser._sides, state.sides, strict=True):
            side.restore(saved)
        parser._streams.restore(state.streams)
        return parser


SPEC: Final = ProtocolSpec(NAME, probe, Http2Parser, Http2Parser.restore, upgrades=("h2c",))
