"""Puts one direction's events in order by their positions: duplicates dropped, small disorder waited out, gaps made known.

Knows nothing of connections, parsers or clocks; what it waits for is bounded by count, bytes and event time.
"""

from bisect import insort
from collections.abc import Iterator
from typing import NamedTuple

from fleetcap_streams.engine.values import Totals
from fleetcap_streams.protocols.contract import Gap

# Disorder comes from events of several processors meeting in one ring buffer: a handful of events, some milliseconds.
WINDOW_EVENTS = 64
WINDOW_BYTES = 256 * 1024
WINDOW_NS = 1_000_000_000


class Piece(NamedTuple):
    """One event's bytes; `length` is their true number, of which `payload` may hold only the first."""

    position: int
    length: int
    payload: bytes
    time_ns: int

    @property
    def end(self) -> int:
        """Position just after its last byte, captured or not."""
        return self.position + self.length


class Stream:
    """One direction of a connection. `next` is the position of the byte that is to come next."""

    __slots__ = ("next", "totals", "waiting", "waiting_bytes")

    def __init__(self, next_position: int = 0, totals: Totals | None = None) -> None:
        self.next = next_position
        self.totals = totals or Totals()
        self.waiting: list[Piece] = []
        self.waiting_bytes = 0

    def accept(self, piece: Piece) -> Iterator[tuple[bytes | Gap, int]]:
        """Take an event and give what can be delivered now, in order, with its event time."""
        if piece.position <= self.next:
            yield from self._deliver(piece)
        else:
            insort(self.waiting, piece)
            self.waiting_bytes += len(piece.payload)
        yield from self._contiguous()
        while self.waiting and self._over(piece.time_ns):
            yield self._skip_to(self.waiting[0].position, self.waiting[0].time_ns)
            yield from self._contiguous()

    def flush(self) -> Iterator[tuple[bytes | Gap, int]]:
        """Give up waiting: what is missing becomes gaps, what waited is delivered."""
        while self.waiting:
            yield self._skip_to(self.waiting[0].position, self.waiting[0].time_ns)
            yield from self._contiguous()

    def finish(self, total: int | None, time_ns: int) -> Iterator[tuple[bytes | Gap, int]]:
        """Flush, and where the kernel counted more bytes than were seen, end with a gap of that size."""
        yield from self.flush()
        if total is not None and total > self.next:
            yield self._skip_to(total, time_ns)

    def _over(self, now_ns: int) -> bool:
        return (
            len(self.waiting) > WINDOW_EVENTS
            or self.waiting_bytes > WINDOW_BYTES
            or now_ns - min(piece.time_ns for piece in self.waiting) > WINDOW_NS
        )

    def _contiguous(self) -> Iterator[tuple[bytes | Gap, int]]:
        while self.waiting and self.waiting[0].position <= self.next:
            piece = self.waiting.pop(0)
            self.waiting_bytes -= len(piece.payload)
            yield from self._deliver(piece)

    def _deliver(self, piece: Piece) -> Iterator[tuple[bytes | Gap, int]]:
        seen = self.next - piece.position
        self.totals.duplicate_bytes += min(seen, piece.length)
        if seen >= piece.length:
            return
        payload = piece.payload[seen:] if seen else piece.payload
        if payload:
            self.totals.bytes += len(payload)
            self.next += len(payload)
            yield payload, piece.time_ns
        if self.next < piece.end:
            yield self._skip_to(piece.end, piece.time_ns)

    def _skip_to(self, position: int, time_ns: int) -> tuple[Gap, int]:
        missing = position - self.next
        self.next = position
        self.totals.gaps += 1
        self.totals.missing_bytes += missing
        return Gap(missing), time_ns
