"""A joined connection that nobody could read so far, and that is raw for now: does a protocol show at its next turn?

Whoever joins in the middle of a long body sees nothing but that body for a long time. When the other side begins to speak, a
message begins too, so each turn is judged like the opening of a connection; only a sure verdict counts. What is judged is
kept back meanwhile.
"""

from typing import NamedTuple

import msgspec

from fleetcap_streams.protocols.contract import Direction, Limits, ProtocolSpec
from fleetcap_streams.protocols.detection import Detector, Item, ItemState, item_of, item_state
from fleetcap_streams.protocols.registry import Registry


class Verdict(NamedTuple):
    """What to do: `items` are raw, or, where `spec` is given, that protocol's and what comes after them too."""

    items: list[Item]
    spec: ProtocolSpec | None = None


class ListenerState(msgspec.Struct, array_like=True):
    """A listener as it stands in a snapshot."""

    turn: int | None
    items: list[ItemState] | None


class Listener:
    """Takes what happens before the default parser does."""

    __slots__ = ("_client", "_detector", "_limits", "_registry", "_turn")

    def __init__(self, registry: Registry, limits: Limits, client: Direction | None) -> None:
        self._registry = registry
        self._limits = limits
        self._client = client
        self._turn: Direction | None = None  # who speaks
        self._detector: Detector | None = None

    def add(self, item: Item) -> Verdict:
        """Take what happened next."""
        direction, chunk, _ = item
        if self._detector is None:
            begins = isinstance(chunk, bytes) and self._turn is not direction
            first = self._turn is None
            self._turn = direction if isinstance(chunk, bytes) else self._turn
            if not begins or first:
                return Verdict([item])
            self._begin()
        return self._judge(item)

    def _begin(self) -> None:
        self._detector = Detector(self._registry, self._limits, joined=False, client=self._client)

    def _judge(self, item: Item) -> Verdict:
        detector = self._detector
        assert detector is not None  # noqa: S101 - our own invariant
        detector.add(*item)
        if not detector.decided:
            return Verdict([])
        self._detector = None
        if detector.sure:
            return Verdict(detector.items, detector.spec)
        self._turn = [direction for direction, chunk, _ in detector.items if isinstance(chunk, bytes)][-1]
        return Verdict(detector.items)

    def state(self) -> ListenerState:
        """What a snapshot holds of it."""
        items = None if self._detector is None else [item_state(item) for item in self._detector.items]
        return ListenerState(self._turn, items)

    def restore(self, state: ListenerState) -> None:
        """Go on from a state."""
        self._turn = None if state.turn is None else Direction(state.turn)
        if state.items is not None:
            self._begin()
            for item in state.items:
                self._judge(item_of(item))
