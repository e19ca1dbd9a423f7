"""Which response answers which request: from frames to messages.

A response carries the number of its request, so nothing that is lost makes another pairing doubtful.
"""

from collections.abc import Sequence
from typing import Any, Final

from fleetcap_streams.protocols.contract import Direction, Limits, Message, Role, Score
from fleetcap_streams.protocols.framing import INVALID, MORE, DesyncError, Frame, Framing, State, Step
from fleetcap_streams.protocols.kafka import telling, wire
from fleetcap_streams.protocols.kafka.apis import PRODUCE
from fleetcap_streams.protocols.kafka.searching import Search
from fleetcap_streams.protocols.kafka.state import TalkState, Waiting
from fleetcap_streams.protocols.kafka.telling import Told
from fleetcap_streams.protocols.kafka.wire import PREFIX, RESPONSE, Request
from fleetcap_streams.protocols.shown import AFTER_GAP, BODY_CUT, HIDDEN, LEFT_OUT, TRUNCATED

NAME: Final = "kafka"
REQUEST_UNKNOWN: Final = "request-unknown"
_SASL: Final = "SaslToken"


class Kafka(Framing):
    """One connection's talk."""

    State = TalkState
    state: TalkState

    def __init__(self, limits: Limits, state: Any = None) -> None:
        self.state = TalkState() if state is None else state
        self._limits = limits
        self._search = Search(self.state, limits)

    @property
    def exchanges(self) -> int:
        """See `Framing`."""
        return self.state.count

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """See `Search`."""
        return self._search.find(direction, data, at, edge=edge)

    def parse(self, direction: Direction, data: bytes, at: int) -> Step:
        """See `Framing`."""
        if len(data) - at < PREFIX:
            return MORE
        size = wire.size_of(data, at)
        if self.state.client is direction.other:
            score = self._parse_response(data, at, size)
        elif self.state.client is direction and not self.state.sasl:
            score = wire.is_next_request(data, at)
        else:
            score = self._parse_any(data, at, size)
        if score is Score.MORE:
            return MORE
        return (State.DONE, PREFIX + size) if score is Score.YES else INVALID

    def _parse_response(self, data: bytes, at: int, size: int) -> Score:
        state = self.state
        if state.expects_token:
            return _score(0 <= size <= wire.MOST_TOKEN)
        if not PREFIX <= size <= wire.MOST:
            return Score.NO
        if len(data) - at < RESPONSE:
            return Score.MORE
        if state.is_near(wire.read_response(data, at)[1]):
            return Score.YES
        return _certain(wire.is_request(data, at))  # whom we took for the server asks

    def _parse_any(self, data: bytes, at: int, size: int) -> Score:
        """A request, a SASL token where those are spoken, or where nobody knows yet who asks, a response."""
        most = wire.MOST_TOKEN if self.state.sasl else wire.MOST
        least = 0 if self.state.sasl else PREFIX
        score = wire.is_request(data, at) if size >= wire.LEAST else Score.NO
        if score is Score.NO:
            return _score(least <= size <= most)
        return Score.MORE if score is Score.MORE else Score.YES

    def stitch(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        """See `Framing`."""
        if self.state.client is None and wire.is_request(frame.data, 0) is Score.MORE:
            return ()  # broken off before it said what it is
        if self._asks(direction, frame):
            return self._request(direction, frame)
        if self.state.expects_token:
            return (self._token(direction, frame, Role.RESPONSE, self.state.tokens.pop(0) if self.state.tokens else 0),)
        return self._response(direction, frame)

    def _asks(self, direction: Direction, frame: Frame) -> bool:
        state = self.state
        if state.client is direction:
            return True
        if state.client is None:
            return self._introduces(frame, named=False)
        if state.expects_token or state.is_near(wire.read_response(frame.data, 0)[1] if len(frame.data) >= RESPONSE else 0):
            return False
        return self._introduces(frame, named=True)

    def _introduces(self, frame: Frame, *, named: bool) -> bool:
        """Whether a frame of nobody knows whom is a request: it names a client, or all of it is what a request holds."""
        score = wire.is_request(frame.data, 0)
        header = wire.read_request(frame.data)
        if header is None or score is Score.NO or (named and score is not Score.YES):
            return False
        told = telling.request(header, frame, self.state.topics)
        return told.likely if score is Score.YES else told.whole

    def _request(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        state = self.state
        if state.sasl and wire.is_request(frame.data, 0) is Score.NO:
            state.count += 1
            state.wait_token(state.count, self._limits.pending)
            return (self._token(direction, frame, Role.REQUEST, state.count),)
        header = wire.read_request(frame.data)
        if header is None:
            return ()  # broken off before it said what it is
        told = telling.request(header, frame, state.topics)
        state.meet(direction, header)
        message = self._message(direction, Role.REQUEST, frame, told)
        self._wait(message, header, told)
        return (message,)

    def _wait(self, message: Message, header: Request, told: Told) -> None:
        state = self.state
        if header.key == PRODUCE and told.found.acks == 0:
            message.role = Role.SINGLE
            return
        state.count += 1
        message.exchange = state.count
        state.wait(header.correlation, Waiting(state.count, header.key, header.version), self._limits.pending)

    def _response(self, direction: Direction, frame: Frame) -> Sequence[Message]:
        state = self.state
        if len(frame.data) < RESPONSE:
            return ()
        correlation = wire.read_response(frame.data, 0)[1]
        asked = state.waiting.get(correlation)
        if asked is None:
            message = self._message(direction, Role.RESPONSE, frame, telling.unknown_response(correlation))
            message.notes += (REQUEST_UNKNOWN,)
            return (message,)
        told = telling.response(asked.key, asked.version, correlation, frame, state.topics)
        if state.doubtful and (told.broken or told.left):
            raise DesyncError
        del state.waiting[correlation]
        message = self._message(direction, Role.RESPONSE, frame, told)
        message.exchange = asked.number
        if state.doubtful and not told.whole:
            message.complete = False
            message.notes += (AFTER_GAP,)
        state.doubtful = False
        for name, topic in told.found.topics:
            if name and topic:
                state.topics.put(telling.printed_id(topic), name, len(name) + len(topic), self._limits.body)
        return (message,)

    def _token(self, direction: Direction, frame: Frame, role: Role, exchange: int) -> Message:
        notes = [LEFT_OUT] if exchange else [LEFT_OUT, REQUEST_UNKNOWN]
        told = Told(f"{_SASL} {HIDDEN}", {"api_name": _SASL}, notes)
        message = self._message(direction, role, frame, told)
        message.exchange = exchange
        return message

    def _message(self, direction: Direction, role: Role, frame: Frame, told: Told) -> Message:
        shown = told.line.encode("utf-8", "replace")
        cut = frame.cut or len(shown) > self._limits.body
        notes = {BODY_CUT: cut, TRUNCATED: frame.missing > 0, **dict.fromkeys(told.notes, True)}
        return Message(
            NAME,
            direction,
            role,
            0,
            frame.start_ns,
            frame.end_ns,
            body=shown[: self._limits.body],
            body_size=frame.size,
            encoded_size=frame.size,
            complete=not frame.missing and not told.broken,
            missing_bytes=frame.missing,
            notes=tuple(note for note, holds in notes.items() if holds),
            attributes=told.attributes,
        )


def _score(holds: bool) -> Score:  # noqa: FBT001 - a predicate's outcome
    return Score.YES if holds else Score.NO


def _certain(score: Score) -> Score:
    return Score.NO if score is Score.MAYBE else score
