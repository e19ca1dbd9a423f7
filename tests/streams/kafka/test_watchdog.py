"""The watchdog, looked through by hand: time is what the test says it is."""

import time
from functools import partial

import pytest

from fleetcap_streams.kafka.watchdog import END_S, Watchdog

STALL_S = 30.0


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def ended() -> list[int]:
    return []


@pytest.fixture
def dog(told: list[str], ended: list[int]) -> Watchdog:
    return Watchdog(STALL_S, told.append, ended.append)


def test_who_waits_for_nothing_is_left_alone(dog: Watchdog, told: list[str]) -> None:
    dog.note(1, None)
    dog.look(time.monotonic() + STALL_S - 1)
    assert told == []


def test_a_loop_that_does_not_come_back_is_told(dog: Watchdog, told: list[str]) -> None:
    dog.note(1, None)
    dog.look(time.monotonic() + STALL_S + 1)
    assert len(told) == 1
    assert "event loop" in told[0]


def test_waiting_without_progress_is_told_once(dog: Watchdog, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    dog.note(1, "a checkpoint")
    for seconds in range(int(STALL_S) + 3):
        monkeypatch.setattr(time, "monotonic", partial(float, began + seconds))
        dog.note(1, "a checkpoint")
        dog.look(began + seconds)
    assert len(told) == 1
    assert "waiting for a checkpoint" in told[0]


def test_progress_begins_anew(dog: Watchdog, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    for seconds in range(5 * int(STALL_S)):
        monkeypatch.setattr(time, "monotonic", partial(float, began + seconds))
        dog.note(seconds // 20, "a checkpoint")
        dog.look(began + seconds)
    assert told == []


def test_who_does_not_end_is_ended(dog: Watchdog, told: list[str], ended: list[int]) -> None:
    now = time.monotonic() + STALL_S + 1
    for after in (0, END_S - 1, END_S + 1):
        assert ended == []
        dog.look(now + after)
    assert (len(told), ended) == (1, [1])


def test_a_machine_that_slept_is_forgiven(dog: Watchdog, told: list[str]) -> None:
    later = time.monotonic() + 3600
    dog.forgive(later)
    dog.look(later + 1)
    assert told == []
