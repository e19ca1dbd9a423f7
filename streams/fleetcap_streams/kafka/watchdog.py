"""Ends a worker that lives but does not get on, so that whoever supervises it can start it again.

Group members that stop consuming while their process lives, and an event loop that never comes back from a call, look healthy
from outside. Whoever makes progress says so here; a thread of its own listens, because the loop may be what is stuck. While
no broker can be reached there is nothing to be gained by starting again, and nothing is counted.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Final

log = logging.getLogger("fleetcap.worker")
LOOK_S: Final = 1.0
# A look that comes this much too late means that the whole process stood still, as in a suspended machine.
LATE_S: Final = 5.0
END_S: Final = 20.0  # for a worker that was told to end to do so by itself


class Watchdog:
    """`stall_s` seconds with work and without progress: `ended` gets the reason, and where that is no help the process ends."""

    def __init__(self, stall_s: float, ended: Callable[[str], None], end: Callable[[int], object] = os._exit) -> None:
        self._stall_s = stall_s
        self._ended = ended
        self._end = end
        self._lock = threading.Lock()
        self._progress: Hashable = None
        self._waiting_for = "it to start"
        self._moved_s = time.monotonic()
        self._heard_s = self._moved_s
        self._told_s: float | None = None
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def note(self, progress: Hashable, waiting_for: str | None) -> None:
        """Say how far things are, by a value that changes when they get on, and what is waited for; None: nothing."""
        with self._lock:
            now = self._heard_s = time.monotonic()
            if progress != self._progress or waiting_for is None:
                self._moved_s = now
            self._progress, self._waiting_for = progress, waiting_for or ""

    def look(self, now: float) -> None:
        """Decide. Public so that tests need not wait."""
        if self._told_s is not None:
            if now - self._told_s > END_S:
                self._end(1)
            return
        with self._lock:
            silent_s, stalled_s, waiting_for = now - self._heard_s, now - self._moved_s, self._waiting_for
        if silent_s > self._stall_s:
            self._tell(f"its event loop has not come back for {silent_s:.0f} s", now)
        elif stalled_s > self._stall_s:
            self._tell(f"it has been waiting for {waiting_for} for {stalled_s:.0f} s", now)

    def forgive(self, now: float) -> None:
        """Begin to count anew: nothing could have got on."""
        with self._lock:
            self._moved_s = self._heard_s = now

    def _tell(self, why: str, now: float) -> None:
        self._told_s = now
        reason = f"the worker is stuck: {why}; it ends, and nothing is lost: start it again"
        log.error("%s", reason)
        self._ended(reason)

    def _run(self) -> None:
        looked_s = time.monotonic()
        while not self._over.wait(LOOK_S):
            now = time.monotonic()
            if now - looked_s > LOOK_S + LATE_S:
                self.forgive(now)
            looked_s = now
            self.look(now)
