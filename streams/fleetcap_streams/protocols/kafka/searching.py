"""Where, after a loss or from the middle on, the next frame begins.

A request proves itself by its header. A response begins with nothing but the number of a request that waits, and small numbers
stand everywhere. So it has to stand where a hole ended, or to fit what its API answers with, or to be followed by another one;
the first place that is proven wins, however many before it may still become one.
"""

from collections.abc import Callable, Iterable
from typing import Final

from fleetcap_streams.protocols.contract import Direction, Limits, Score
from fleetcap_streams.protocols.kafka import wire
from fleetcap_streams.protocols.kafka.apis import PRODUCE
from fleetcap_streams.protocols.kafka.layout import Plan, request_plan, response_plan
from fleetcap_streams.protocols.kafka.reading import MOST_LEFT, MalformedError, Reader, ShortError
from fleetcap_streams.protocols.kafka.state import TalkState, Waiting
from fleetcap_streams.protocols.kafka.telling import api_of
from fleetcap_streams.protocols.kafka.wire import PREFIX, RESPONSE

_WINDOW: Final = 1024  # bytes by which a place is judged; so long, at most, it is waited for
_AHEAD: Final = 1000  # requests lost, at most, if the next one is to prove itself by its number
_RARE: Final = 1 << 16  # numbers from here on do not stand anywhere by accident
_LARGEST: Final = 1 << 18  # bytes of requests that carry no records
_LEAST_NAME: Final = 3  # bytes of a client's name that proves a request by itself
_TOPIC: Final = 249  # bytes of a topic's name (Kafka's own rule)


class Search:
    """Looks for frames in either direction of a connection."""

    __slots__ = ("_limits", "_state")

    def __init__(self, state: TalkState, limits: Limits) -> None:
        self._state = state
        self._limits = limits

    def find(self, direction: Direction, data: bytes, at: int, *, edge: bool) -> tuple[int, bool]:
        """See `Framing`."""
        client = self._state.client
        here = self._edge(data, at) if edge and client is not direction else Score.NO
        if here is Score.YES:
            return at, True
        if client is direction.other:
            place, certain = _first(data, at, wire.response_places(data, at), self._response, RESPONSE)
            self._state.doubtful = certain
        else:
            place, certain = _first(
                data, at, wire.request_places(data, at, named=client is None), self._request(at if edge else -1), wire.HEADER
            )
        return (place, True) if certain else (at if here is Score.MORE else place, False)

    def _request(self, edge: int) -> Callable[[bytes, int], Score]:
        """Judges whether what looks like a request is one: it stands at the edge, or nobody else would send it.

        Records may hold requests too, where traffic is captured into Kafka; they are of other clients, or of other numbers.
        """

        def judge(data: bytes, at: int) -> Score:
            score = wire.is_request(data, at)
            if score in (Score.NO, Score.MORE) or not self._is_likely(data, at, score, edge=at == edge):
                return Score.MORE if score is Score.MORE else Score.NO
            header = wire.read_request(data[at : at + _WINDOW])
            assert header is not None  # noqa: S101 - is_request has seen it all
            if header.key != PRODUCE and wire.size_of(data, at) > _LARGEST:
                return Score.NO
            plan = request_plan(header.key, header.version)
            return _fits(data, at, header.body, plan, left=MOST_LEFT) if header.known else Score.YES

        return judge

    def _is_likely(self, data: bytes, at: int, score: Score, *, edge: bool) -> bool:
        named = score is Score.YES
        if edge:
            return named or self._state.client is not None
        correlation, name = wire.identity(data, at)
        last = self._state.last
        if last is not None and 0 < correlation - last <= _AHEAD:
            return named or not self._state.name
        return named and (self._state.name == name if self._state.name else len(name) >= _LEAST_NAME)

    def _edge(self, data: bytes, at: int) -> Score:
        """Whether a response begins where a hole ended: one that is waited for, or one that is followed by such a one."""
        if len(data) - at < RESPONSE:
            return Score.MORE
        size, correlation = wire.read_response(data, at)
        waiting = self._state.waiting.get(correlation)
        if not PREFIX <= size <= wire.MOST or not self._state.is_near(correlation):
            return Score.NO
        if waiting is None:
            return self._followed(data, at, size) if size <= self._limits.head else Score.NO
        score = self._answers(data, at, waiting)
        small = size <= _WINDOW or correlation >= _RARE or response_plan(waiting.key, waiting.version).whole
        return score if small else Score.NO

    def _response(self, data: bytes, at: int) -> Score:
        """Whether what has the number of a request that waits is its response."""
        size, correlation = wire.read_response(data, at)
        waiting = self._state.waiting.get(correlation)
        if waiting is None or not PREFIX <= size <= wire.MOST:
            return Score.NO
        score = self._answers(data, at, waiting)
        if score is not Score.YES or correlation >= _RARE or response_plan(waiting.key, waiting.version).whole:
            return score
        return self._followed(data, at, size) if size <= _WINDOW else Score.NO

    def _answers(self, data: bytes, at: int, waiting: Waiting) -> Score:
        api = api_of(waiting.key)
        if api is None or waiting.version > api.newest:
            return Score.YES
        body = at + RESPONSE + api.response_header(waiting.version)
        plan = response_plan(waiting.key, waiting.version)
        if not plan.whole:
            return wire.is_response(data, at, api, waiting.version)
        if len(data) < body:
            return Score.MORE
        # No tag has been defined for a response's header yet.
        return Score.NO if body > at + RESPONSE and data[body - 1] else _fits(data, at, body - at, plan, left=0)

    def _followed(self, data: bytes, at: int, size: int) -> Score:
        """Whether behind a frame of that size a response begins that is waited for."""
        after = at + PREFIX + size
        if len(data) < after + RESPONSE:
            return Score.MORE
        size, correlation = wire.read_response(data, after)
        return Score.YES if PREFIX <= size <= wire.MOST and correlation in self._state.waiting else Score.NO


def _first(data: bytes, at: int, places: Iterable[int], judge: Callable[[bytes, int], Score], header: int) -> tuple[int, bool]:
    """The first place that is proven; else from where on bytes have to be kept: `header` are looked at to find a place."""
    held: int | None = None
    for place in places:
        score = judge(data, place)
        if score is Score.YES:
            return place, True
        if score is Score.MORE and held is None:
            held = place
    return max(at, len(data) - header + 1) if held is None else held, False


def _fits(data: bytes, at: int, body: int, plan: Plan, *, left: int) -> Score:
    """Whether a frame's body is what the plan says, as far as it is judged; at most so many bytes may be left behind it."""
    size = PREFIX + wire.size_of(data, at)
    window = data[at : at + min(size, _WINDOW)]
    if not plan.whole:
        return Score.YES
    if len(window) < min(size, _WINDOW):
        return Score.MORE
    reader = Reader(window, body, size, flexible=plan.flexible)
    try:
        reader.read(plan)
        if reader.left > left:
            return Score.NO
    except MalformedError:
        return Score.NO
    except ShortError:
        if size <= _WINDOW:
            return Score.NO
    names = [name for name, _ in reader.found.topics]
    return Score.YES if all(len(name) <= _TOPIC and wire.is_name(name, whole=True) for name in names) else Score.NO


def has_request(data: bytes) -> bool:
    """Whether somewhere in these bytes there is a request of a named client."""
    return Search(TalkState(), Limits()).find(Direction.SENT, data, 0, edge=False)[1]
