"""The capture loop: drain the tap, pack, ship, until told to stop; then everything that was seen is still brought out.

    tap.drain ─▶ packer ─▶ sink          running
    tap.stop, tap.drain until empty ─▶ packer.flush ─▶ sink.close          stopping

It must not know what a tap probes or what a sink writes to: each is a `Protocol`.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from fleetcap_producer.captured import Captured
from fleetcap_producer.health import Health
from fleetcap_producer.packing import Packed, Packer

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Tap(Protocol):
    """Where events come from."""

    def start(self) -> None:
        """Attach. Nothing is captured before."""

    def drain(self, timeout_s: float) -> Sequence[Captured]:
        """Return what was captured since the last call, in order; wait up to `timeout_s` seconds where that is nothing.

        One call returns within bounds, however much comes in. It can be called after `stop`, until it returns nothing.
        """

    def losses(self) -> Mapping[str, int]:
        """Events lost before they were drained, by cause; can be called after `stop`."""

    def stop(self) -> None:
        """Detach. What was captured before can still be drained."""


class Sink(Protocol):
    """Where records go: Kafka, a recording, or something between the two, such as a spool, which is a sink before a sink."""

    def send(self, packed: Packed, wait_s: float) -> None:
        """Take a record; wait up to `wait_s` seconds for room, else drop it and count its events."""

    def poll(self) -> None:
        """Do what has to be done now and then. Never waits."""

    def close(self, timeout_s: float) -> None:
        """Bring out what was taken, within `timeout_s` seconds; count the events of what could not be."""

    def losses(self) -> Mapping[str, int]:
        """Events of records that were lost, by cause."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was captured, and what of it was lost where. `payload_bytes` are bytes seen, before packing and compression."""

    events: int
    payload_bytes: int
    records: int
    lost: Mapping[str, int]

    def __str__(self) -> str:
        causes = ", ".join(f"{cause}: {count:,}" for cause, count in self.lost.items() if count)
        lost = f"{sum(self.lost.values()):,} events lost" + (f" ({causes})" if causes else "")
        return f"captured {self.events:,} events with {self.payload_bytes:,} bytes in {self.records:,} records; {lost}"


def _say(summary: Summary) -> None:
    sys.stderr.write(f"{summary}\n")


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How long the loop waits for what, in seconds, and who is told at the end."""

    idle_s: float = 0.1  # for events, while nothing is being packed: how soon a stop is noticed
    room_s: float = 1.0  # for room in the sink, before a record is dropped
    stop_s: float = 30.0  # in all for draining and shipping after a stop
    report: Callable[[Summary], None] = _say  # is given the summary at the end, however it ends
    health: Health | None = None  # is asked for records of its own


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT or SIGTERM sets. A second signal ends the process at once, with 128 + its number.

    For the main thread only, as all of Python's signal handling.
    """
    stop = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os.write(2, b"ended at once; what was not yet shipped is lost\n")
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_capture(tap: Tap, packer: Packer, sink: Sink, stop: threading.Event, options: CaptureOptions | None = None) -> Summary:
    """Capture until `stop` is set, bring out everything, and say what there was.

    Whatever the tap or the sink raises comes through, after the tap was detached, the sink closed and the summary given.
    """
    options = options or CaptureOptions()
    loop = _Loop(tap, packer, sink, options)
    try:
        tap.start()
    except BaseException:
        sink.close(0.0)
        raise
    try:
        try:
            loop.run(stop)
        finally:
            loop.empty()
    finally:
        sink.close(loop.left_s())
        options.report(loop.summary())
    return loop.summary()


class _Loop:
    """The state of one capture."""

    def __init__(self, tap: Tap, packer: Packer, sink: Sink, options: CaptureOptions) -> None:
        self._tap = tap
        self._packer = packer
        self._sink = sink
        self._options = options
        self._records = 0
        self._deadline = float("inf")

    def run(self, stop: threading.Event) -> None:
        packer, idle_s, health = self._packer, self._options.idle_s, self._options.health
        while not stop.is_set():
            wait_s = packer.wait_s(time.monotonic())
            events = self._tap.drain(idle_s if wait_s is None else min(wait_s, idle_s))
            now = time.monotonic()
            self._send(packer.add(events, now))
            self._send(packer.due(now))
            if health:
                self._send(health.due(now))
            self._sink.poll()

    def empty(self) -> None:
        """Detach first, so that what is left is finite; then each stage empties itself into the next."""
        self._deadline = time.monotonic() + self._options.stop_s
        self._tap.stop()
        while events := self._tap.drain(0.0):
            self._send(self._packer.add(events, time.monotonic()))
        self._send(self._packer.flush())
        if self._options.health:
            self._send([self._options.health.last()])

    def left_s(self) -> float:
        """How long stopping may still go on; without end while nobody has asked for it."""
        return max(0.0, self._deadline - time.monotonic())

    def _send(self, records: Sequence[Packed]) -> None:
        for packed in records:
            self._sink.send(packed, min(self._options.room_s, self.left_s()))
            self._records += 1

    def summary(self) -> Summary:
        lost = Counter(self._tap.losses())
        lost.update(self._sink.losses())
        return Summary(self._packer.events, self._packer.payload_bytes, self._records, dict(lost))
