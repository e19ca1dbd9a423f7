"""Which protocol a connection speaks, by its first bytes in both directions.

What decides is a function of the bytes, not of how they were cut into chunks: a probe may change its mind only from MORE, so
whoever wins is the first that could not lose any more. YES wins over an earlier declared protocol only when that one no
longer says MORE; MAYBE wins when nobody says MORE; at the limit and at an end MORE counts as NO.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from fleetcap_streams.protocols.contract import Chunk, Direction, End, Gap, Limits, Opening, ProtocolSpec, Score
from fleetcap_streams.protocols.registry import Registry

Item: TypeAlias = tuple[Direction, Chunk, int]

_ALWAYS_ASK: Final = 256  # bytes; beyond them a probe is asked each time there is an eighth more, so that work stays linear
_MERGE_AFTER: Final = 1024  # items; beyond them dripping bytes join the item before, whose time they get
_MERGE_SIZE: Final = 256
_MOST_ITEMS: Final = 8192  # beyond them nobody waits any longer: directions in turn, or gaps, cannot be merged


class ItemState(msgspec.Struct, array_like=True):
    """One thing that happened: bytes, or a gap of `missing`, or an end by its name."""

    direction: int
    data: bytes
    missing: int | None
    end: str | None
    time_ns: int


def item_state(item: Item) -> ItemState:
    """The form of an item in a snapshot."""
    direction, chunk, time_ns = item
    match chunk:
        case bytes():
            return ItemState(direction, chunk, None, None, time_ns)
        case Gap():
            return ItemState(direction, b"", chunk.missing, None, time_ns)
        case End():
            return ItemState(direction, b"", None, chunk.value, time_ns)


def item_of(state: ItemState) -> Item:
    """The item that a snapshot holds."""
    direction = Direction(state.direction)
    if state.end is not None:
        return direction, End(state.end), state.time_ns
    chunk = state.data if state.missing is None else Gap(state.missing)
    return direction, chunk, state.time_ns


class Detector:
    """One connection while nobody knows what it speaks. `items` is everything it was given, in order.

    `decided` tells that detection is over; `spec` is what it found, None: nobody's, so the default parser's; `sure` that its
    probe said YES; `joined` that these are not the connection's first bytes, or not all of them.
    """

    __slots__ = (
        "_asked",
        "_client",
        "_held",
        "_limit",
        "_openings",
        "_registry",
        "_resting",
        "decided",
        "items",
        "joined",
        "spec",
        "sure",
    )

    def __init__(self, registry: Registry, limits: Limits, *, joined: bool, client: Direction | None) -> None:
        self.decided = False
        self.spec: ProtocolSpec | None = None
        self.sure = False
        self.items: list[Item] = []
        self._registry = registry
        self._limit = limits.detection
        self.joined = joined
        self._client = client
        self._openings = (bytearray(), bytearray())
        self._asked = 0
        self._held = 0  # bytes in `items`
        self._resting = [True, True]  # nothing to flush since the last End.IDLE

    def add(self, direction: Direction, chunk: Chunk, time_ns: int) -> None:
        """Take what happened next; `decided` may be true afterwards."""
        match chunk:
            case bytes():
                self._keep(direction, chunk, time_ns)
                self._openings[direction].extend(chunk)
                self._ask_if_worth_it()
            case Gap():
                self.items.append((direction, chunk, time_ns))
                self.joined = True
                self._openings[direction].clear()
            case End.IDLE:
                if not self._resting[direction]:
                    self._resting[direction] = True
                    self.items.append((direction, chunk, time_ns))
            case End():
                self.items.append((direction, chunk, time_ns))
                self._decide(self._scores(), last=True)
        if len(self.items) >= _MOST_ITEMS and not self.decided:
            self._decide(self._scores(), last=True)

    def _keep(self, direction: Direction, data: bytes, time_ns: int) -> None:
        self._resting[direction] = False
        self._held += len(data)
        if len(self.items) >= _MERGE_AFTER:
            before, chunk, before_ns = self.items[-1]
            if before is direction and isinstance(chunk, bytes) and len(chunk) < _MERGE_SIZE:
                self.items[-1] = (direction, chunk + data, before_ns)
                return
        self.items.append((direction, data, time_ns))

    def _ask_if_worth_it(self) -> None:
        size = self._held
        # What stands before a gap is in no opening, but it is held.
        full = max(map(len, self._openings)) >= self._limit or size >= 2 * self._limit
        if full or size <= _ALWAYS_ASK or size >= self._asked + self._asked // 8:
            self._asked = size
            self._decide(self._scores(), last=full)

    def _scores(self) -> Sequence[tuple[ProtocolSpec, Score]]:
        received, sent = (bytes(opening[: self._limit]) for opening in self._openings)
        opening = Opening(received, sent, self.joined, self._client)
        return [(spec, spec.probe(opening)) for spec in self._registry]

    def _decide(self, scores: Sequence[tuple[ProtocolSpec, Score]], *, last: bool) -> None:
        best: ProtocolSpec | None = None
        waiting = False
        for spec, score in scores:
            if score is Score.YES and (last or not waiting):
                self.decided, self.spec, self.sure = True, spec, True
                return
            waiting = waiting or score is Score.MORE
            if score is Score.MAYBE and best is None:
                best = spec
        if last or not waiting:
            self.decided, self.spec = True, best
