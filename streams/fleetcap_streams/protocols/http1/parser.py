"""The entrance: one connection's HTTP/1 parser, made of two directions and what pairs them."""

from collections.abc import Sequence

import msgspec

from fleetcap_streams.protocols.contract import Chunk, Direction, Gap, Limits, Message, SwitchProtocol
from fleetcap_streams.protocols.errors import SnapshotError
from fleetcap_streams.protocols.http1.half import Half
from fleetcap_streams.protocols.http1.pairing import Pairing
from fleetcap_streams.protocols.http1.state import VERSION, ParserState


class Http1Parser:
    """Which side is the client is decided by what each direction carries, message by message."""

    __slots__ = ("_halves", "_pairing")

    def __init__(self, limits: Limits) -> None:
        self._pairing = Pairing(limits.pending)
        self._join(limits)

    def _join(self, limits: Limits) -> None:
        self._halves = (Half(Direction.RECEIVED, limits, self._pairing), Half(Direction.SENT, limits, self._pairing))

    def receive(self, direction: Direction, chunk: Chunk, time_ns: int) -> Sequence[Message]:
        """Take what happened next in one direction and return the messages that are finished by it.

        A response may come before its request, where it began before the request had ended.

        Raises:
            SwitchProtocol: the peers agreed to speak something else from here on.
        """
        half = self._halves[direction]
        if isinstance(chunk, bytes):
            messages = half.feed(chunk, time_ns)
        elif isinstance(chunk, Gap):
            messages = half.gap(chunk.missing, time_ns)
        else:
            messages = half.end(chunk)
        if self._pairing.attention:
            messages = self._attend(direction, messages)
        return messages

    def at_rest(self) -> bool:
        """Whether nothing is under way or in doubt: what comes next begins a message, in either direction."""
        return self._pairing.at_rest() and self._halves[0].at_rest() and self._halves[1].at_rest()

    def skip_whole(self, requests: int, times_ns: tuple[int, int]) -> None:
        """Go on behind whole exchanges that somebody else has read; the last bytes of each direction came then, 0: none did."""
        self._pairing.last += requests
        for half, time_ns in zip(self._halves, times_ns, strict=True):
            half.skip_whole(time_ns)

    def _attend(self, direction: Direction, messages: list[Message]) -> list[Message]:
        messages = list(messages)  # an empty one is still the half's own, into which `release` writes
        while self._pairing.attention:
            self._pairing.attention = False
            if self._pairing.token is not None:
                self._leave(direction, messages, self._pairing.token)
            for half in self._halves:
                if half.held and not self._pairing.held:
                    messages = messages + half.release()
        return messages

    def _leave(self, direction: Direction, messages: list[Message], token: str) -> None:
        """What the asking side sent was waiting for the answer, so it comes first."""
        rest: list[tuple[Direction, Chunk, int]] = []
        for side in (direction.other, direction):
            more, left = self._halves[side].leave()
            messages = messages + more
            rest += [(side, chunk, time_ns) for chunk, time_ns in left]
        raise SwitchProtocol(messages, rest, token, self._pairing.last)

    def snapshot(self) -> bytes:
        """Bounded by the limits: a head, a kept body, skipped and held bytes for each direction, and the pending requests."""
        received, sent = (half.state() for half in self._halves)
        return msgspec.msgpack.encode(ParserState(VERSION, (received, sent), self._pairing.state()))

    @classmethod
    def restore(cls, limits: Limits, snapshot: bytes) -> "Http1Parser":
        """Go on from a snapshot.

        Raises:
            SnapshotError: it is not one of this parser's.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=ParserState)
        except msgspec.DecodeError as error:
            raise SnapshotError("not a snapshot of the http1 parser: restore it with the version that wrote it") from error
        if state.version != VERSION:
            text = (
                f"snapshot version {state.version} of the http1 parser, not {VERSION}: restore it with the version that wrote it"
            )
            raise SnapshotError(text)
        parser = cls(limits)
        parser._pairing = Pairing.restore(limits.pending, state.pairing)
        parser._join(limits)
        for half, part in zip(parser._halves, state.halves, strict=True):
            half.restore(part)
        return parser
