"""Kernel time to wall time, by clocks that tests turn."""

from fleetcap_producer.clock import WallClock

SECOND = 1_000_000_000


class Clocks:
    def __init__(self) -> None:
        self.now = 100 * SECOND
        self.offset = 5_000 * SECOND
        self.delays: list[int] = []

    def monotonic(self) -> int:
        self.now += self.delays.pop(0) if self.delays else 10
        return self.now

    def wall(self) -> int:
        self.now += 10
        return self.now + self.offset


def test_the_offset_is_right_to_a_few_nanoseconds() -> None:
    clocks = Clocks()
    assert abs(WallClock(clocks.monotonic, clocks.wall).offset_ns - clocks.offset) <= 10


def test_the_least_disturbed_sample_counts() -> None:
    clocks = Clocks()
    clocks.delays = [SECOND, SECOND, 10, 10]
    assert abs(WallClock(clocks.monotonic, clocks.wall).offset_ns - clocks.offset) <= 10


def test_a_step_of_the_wall_clock_is_followed() -> None:
    clocks = Clocks()
    clock = WallClock(clocks.monotonic, clocks.wall)
    clocks.offset -= 3 * SECOND
    clock.watch()
    assert clock.steps == 0, "looked at once a second only"
    clocks.now += 2 * SECOND
    clock.watch()
    assert clock.steps == 1
    assert abs(clock.offset_ns - clocks.offset) <= 10


def test_small_deviations_move_nothing() -> None:
    clocks = Clocks()
    clock = WallClock(clocks.monotonic, clocks.wall)
    before = clock.offset_ns
    clocks.offset += 1_000_000
    clocks.now += 2 * SECOND
    clock.watch()
    assert (clock.offset_ns, clock.steps) == (before, 0)


def test_a_stall_of_ours_is_no_step() -> None:
    clocks = Clocks()
    clock = WallClock(clocks.monotonic, clocks.wall)
    clocks.now += 2 * SECOND
    stalled = True

    def wall() -> int:
        nonlocal stalled
        if stalled:
            stalled = False
            clocks.now += SECOND
        return clocks.wall()

    clock._wall = wall
    clock.watch()
    assert clock.steps == 0
