"""Which connections a partition has and when log time ends their segments.

Log time is the partition's only: the largest append timestamp seen so far, so a leader change never turns it back. Each
phase of a connection's life has one time limit for all, so what is in order of entry is a queue of deadlines. Most
connections of a fleet are silent at any time; of these, it needs no more than their saved state.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, TypeAlias

from fleetcap_streams.engine.connection import Connection, Phase
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.state import Frozen

Held: TypeAlias = Connection | Frozen
_NEVER: Final = 1 << 63


class Lifecycle:
    """The connections of one partition by UUID, and their deadlines. Times are log time in milliseconds."""

    def __init__(self, limits: EngineLimits) -> None:
        self.now_ms = 0
        self.by_uuid: dict[str, Held] = {}
        # Ordered ones, because the first of a plain dict is found only by walking over all that were taken out before it.
        self._phases: tuple[OrderedDict[str, Held], ...] = tuple(OrderedDict() for _ in Phase)
        self._earliest = _NEVER  # nothing is due before it
        self._limits = {
            Phase.ACTIVE: limits.idle_timeout_ms + limits.idle_grace_ms,
            Phase.QUIET: limits.socket_timeout_ms,
            Phase.ENDED: limits.ended_memory_ms,
            Phase.LOST: limits.lost_memory_ms,
        }

    def enter(self, connection: Connection, phase: Phase, since_ms: int) -> None:
        """Put a connection into a phase, whose limit counts from `since_ms`."""
        uuid = connection.info.uuid
        self._phases[connection.phase].pop(uuid, None)
        connection.phase = phase
        connection.since_ms = since_ms
        self._hold(uuid, connection)

    def hold(self, frozen: Frozen) -> None:
        """Take in a connection of which there is a saved state only."""
        self._hold(frozen.uuid, frozen)

    def replace(self, held: Held) -> None:
        """Put another form of a connection into its place; phase and deadline are the same."""
        self._phases[held.phase][held.uuid] = self.by_uuid[held.uuid] = held

    def _hold(self, uuid: str, held: Held) -> None:
        phase = held.phase
        self._phases[phase][uuid] = held
        self.by_uuid[uuid] = held
        self._earliest = min(self._earliest, held.since_ms + self._limits[phase])

    def forget(self, held: Held) -> None:
        """Drop a connection altogether."""
        uuid = held.uuid
        del self._phases[held.phase][uuid]
        del self.by_uuid[uuid]

    def due(self, now_ms: int) -> Iterator[Held]:
        """Connections whose phase is over by `now_ms`; the caller moves each on before it asks for the next.

        A connection that has to be moved on twice (idle, then lost) is given twice.
        """
        self.now_ms = max(self.now_ms, now_ms)
        if self.now_ms < self._earliest:
            return
        for phase in Phase:
            queue, limit = self._phases[phase], self._limits[phase]
            while queue:
                held = next(iter(queue.values()))
                if held.since_ms + limit > self.now_ms:
                    break
                yield held
        self._earliest = self._first_deadline_ms()

    def next_deadline_ms(self) -> int | None:
        """The log time at which the next connection is due, None where none waits for time."""
        deadline = self._first_deadline_ms()
        return None if deadline == _NEVER else deadline

    def _first_deadline_ms(self) -> int:
        deadlines = [
            next(iter(queue.values())).since_ms + self._limits[phase]
            for phase, queue in zip(Phase, self._phases, strict=True)
            if queue
        ]
        return min(deadlines, default=_NEVER)

    def longest_quiet(self) -> Held:
        """The connection to cut where there are too many: the ended first, then the quiet, then the active."""
        for phase in (Phase.ENDED, Phase.LOST, Phase.QUIET, Phase.ACTIVE):
            for held in self._phases[phase].values():
                return held
        raise LookupError("no connection is known")

    def settle(self) -> None:
        """Put restored connections into the order in which they would stand here had nothing been interrupted."""
        for queue in self._phases:
            ordered = sorted(queue.items(), key=lambda item: (item[1].since_ms, item[1].offset))
            queue.clear()
            queue.update(ordered)
