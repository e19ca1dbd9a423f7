"""Bytes of one direction that wait for more, and when each of them came."""

from bisect import bisect_right
from typing import Final

_MOST_TIMES: Final = 1024  # beyond it bytes get the time of those before them: exact times of a dripped head are not worth MBs


class Backlog:
    """`buffer` waits; `ends` and `times` say until where which time holds, for it or, once taken, for the data in hand.

    Both are empty while all data in hand came `now`. `scan` is how far the buffer was searched in vain.
    """

    __slots__ = ("buffer", "ends", "now", "scan", "times")

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.ends: list[int] = []
        self.times: list[int] = []
        self.now = -1  # nothing came yet
        self.scan = 0

    def grow(self, data: bytes, now: int) -> None:
        """Add what came next."""
        self.now = now
        self.buffer += data
        if self.times[-1] == now or len(self.ends) >= _MOST_TIMES:
            self.ends[-1] = len(self.buffer)
        else:
            self.ends.append(len(self.buffer))
            self.times.append(now)

    def take(self) -> bytes:
        """All of it, to be worked on; nothing waits any more."""
        data = bytes(self.buffer)
        self.buffer = bytearray()
        self.scan = 0
        return data

    def keep(self, data: bytes, pos: int) -> None:
        """Let the rest of the data in hand wait."""
        self.buffer = bytearray(data[pos:])
        self.scan = len(self.buffer)
        if not self.buffer:
            return
        first = bisect_right(self.ends, pos)
        ends = [end - pos for end in self.ends[first:]]
        times = self.times[first:]
        self.ends, self.times = ends or [len(self.buffer)], times or [self.now]

    def done(self) -> None:
        """The data in hand is used up."""
        if not self.buffer and self.ends:
            self.ends, self.times = [], []

    def time_at(self, pos: int) -> int:
        """When the byte at a position of the data in hand came."""
        index = bisect_right(self.ends, pos)
        return self.times[index] if index < len(self.times) else self.now

    def runs(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """A stretch of the data in hand as (start, stop, time) of its parts that came at once."""
        found = []
        while start < stop:
            index = bisect_right(self.ends, start)
            end = min(stop, self.ends[index]) if index < len(self.ends) else stop
            found.append((start, end, self.time_at(start)))
            start = end
        return found
