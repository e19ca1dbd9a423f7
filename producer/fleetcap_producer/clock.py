"""Turns the kernel's monotonic nanoseconds into Unix nanoseconds; reads clocks and nothing else.

Programs stamp events by CLOCK_MONOTONIC, which no one sets. Its distance to the wall clock is measured here, and again when
somebody has set the wall clock.
"""

import time
from collections.abc import Callable

# Slewing (at most 500 ppm) adds up unseen below this; a step by less is not worth a jump in event times.
_STEP_NS = 2_000_000
_SAMPLES = 16
_CHECK_EVERY_NS = 1_000_000_000

Clock = Callable[[], int]


def _monotonic() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class WallClock:
    """The offset to add to a kernel time; `monotonic` and `wall` give nanoseconds."""

    __slots__ = ("_checked", "_monotonic", "_wall", "offset_ns", "steps")

    def __init__(self, monotonic: Clock = _monotonic, wall: Clock = time.time_ns) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self.offset_ns = self._measure()
        self.steps = 0
        self._checked = monotonic()

    def _measure(self) -> int:
        """The distance between the clocks, from the sample that was disturbed least."""
        samples = []
        for _ in range(_SAMPLES):
            before = self._monotonic()
            wall = self._wall()
            after = self._monotonic()
            samples.append((after - before, wall - (before + after) // 2))
        return min(samples)[1]

    def watch(self) -> None:
        """Notices a step of the wall clock, looking once a second at most however often it is called."""
        now = self._monotonic()
        if now - self._checked < _CHECK_EVERY_NS:
            return
        self._checked = now
        if abs(self._wall() - now - self.offset_ns) > _STEP_NS:
            measured = self._measure()
            # A stall between the two readings above looks like a step, too.
            if abs(measured - self.offset_ns) > _STEP_NS:
                self.offset_ns = measured
                self.steps += 1
