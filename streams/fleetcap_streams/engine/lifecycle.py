"""Which connections a partition has and when log time ends their segments.

Log time is the partition's only: the largest append timestamp seen so far, so a leader change never turns it back. Each
phase of a connection's life has one time limit for all, so a dict in order of entry is a queue of deadlines.
"""

from collections.abc import Iterator

from fleetcap_streams.engine.connection import Connection, Phase
from fleetcap_streams.engine.limits import EngineLimits


class Lifecycle:
    """The connections of one partition by UUID, and their deadlines. Times are log time in milliseconds."""

    def __init__(self, limits: EngineLimits) -> None:
        self.now_ms = 0
        self.by_uuid: dict[str, Connection] = {}
        self._phases: tuple[dict[str, Connection], ...] = tuple({} for _ in Phase)
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
        self._phases[phase][uuid] = connection
        self.by_uuid[uuid] = connection

    def forget(self, connection: Connection) -> None:
        """Drop a connection altogether."""
        uuid = connection.info.uuid
        del self._phases[connection.phase][uuid]
        del self.by_uuid[uuid]

    def due(self, now_ms: int) -> Iterator[Connection]:
        """Connections whose phase is over by `now_ms`; the caller moves each on before it asks for the next.

        A connection that has to be moved on twice (idle, then lost) is given twice.
        """
        self.now_ms = max(self.now_ms, now_ms)
        for phase in Phase:
            queue, limit = self._phases[phase], self._limits[phase]
            while queue:
                connection = next(iter(queue.values()))
                if connection.since_ms + limit > self.now_ms:
                    break
                yield connection

    def next_deadline_ms(self) -> int | None:
        """The log time at which the next connection is due, None where none waits for time."""
        deadlines = [
            next(iter(queue.values())).since_ms + self._limits[phase]
            for phase, queue in zip(Phase, self._phases, strict=True)
            if queue
        ]
        return min(deadlines, default=None)

    def longest_quiet(self) -> Connection:
        """The connection to cut where there are too many: the ended first, then the quiet, then the active."""
        for phase in (Phase.ENDED, Phase.LOST, Phase.QUIET, Phase.ACTIVE):
            for connection in self._phases[phase].values():
                return connection
        raise LookupError("no connection is known")

    def settle(self) -> None:
        """Put restored connections into the order in which they would stand here had nothing been interrupted."""
        for queue in self._phases:
            ordered = sorted(queue.items(), key=lambda item: (item[1].since_ms, item[1].offset))
            queue.clear()
            queue.update(ordered)
