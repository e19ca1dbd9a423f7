"""`fleetcap worker --processes N`: several workers on one machine, each a process, started again when one ends by itself."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from fleetcap.settings import Settings

# Twice as long each time, so that a worker that cannot run does not take the machine from those that can.
BACKOFF_S: Final = (0.5, 30.0)
STEADY_S: Final = 60.0  # a worker that has run for so long begins with the shortest again
STOP_S: Final = 40.0  # of last checkpoints and of leaving the group, before a worker is killed
LOOK_S: Final = 0.5
UNUSABLE: Final = 3  # ends in a row, of all workers and soon after their start: starting again is no help


def print_line(line: str) -> None:
    """Tell people, beside what the workers say."""
    sys.stderr.write(f"fleetcap: {line}\n")
    sys.stderr.flush()


def how_many(processes: int | str) -> int:
    """`auto` is one for each processor that this process may run on."""
    return len(os.sched_getaffinity(0)) if processes == "auto" else int(processes)


@dataclass(slots=True)
class Child:
    """One of the workers, whichever process it is at the moment."""

    number: int
    process: SpawnProcess | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    backoff_s: float = BACKOFF_S[0]
    failures: int = 0


@dataclass(slots=True)
class Crew:
    """Keeps `count` processes running until it is told to stop. `main` is what each does: its number in, its exit code out."""

    count: int
    main: Callable[..., int]
    arguments: tuple[Any, ...] = ()
    say: Callable[[str], None] = print_line
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """Returns 0 after a stop in order of all of them, 1 where one had to be killed or none can run."""
        children = [Child(number) for number in range(self.count)]
        try:
            while not self.stopping.is_set():
                for child in children:
                    self._tend(child)
                if all(child.failures >= UNUSABLE for child in children):
                    self.say(f"none of {self.count} workers runs for long; what each says above is why")
                    return 1
                self._wait(children)
        finally:
            killed = stop(children)
        if killed:
            self.say(f"{killed} workers did not end within {STOP_S:g} s and were killed; nothing is lost")
        return 1 if killed else 0

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is not None and not child.process.is_alive():
            self._ended(child, child.process.exitcode, now)
            child.process = None
        if child.process is None and now >= child.due_s:
            child.started_s = now
            child.process = get_context("spawn").Process(
                target=_child, args=(self.main, child.number, *self.arguments), name=f"worker-{child.number}"
            )
            child.process.start()

    def _ended(self, child: Child, code: int | None, now: float) -> None:
        steady = now - child.started_s >= STEADY_S
        child.failures = 0 if steady else child.failures + 1
        child.backoff_s = BACKOFF_S[0] if steady else child.backoff_s
        # Not all at the same moment, where one cause has ended them all.
        pause_s = child.backoff_s * random.uniform(0.75, 1.25)  # noqa: S311 - nobody gains by guessing it
        child.due_s, child.backoff_s = now + pause_s, min(2 * child.backoff_s, BACKOFF_S[1])
        how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        self.say(f"worker {child.number} ended {how}; it is started again in {pause_s:.1f} s")

    def _wait(self, children: list[Child]) -> None:
        sentinels = [child.process.sentinel for child in children if child.process is not None]
        wait(sentinels, LOOK_S) if sentinels else self.stopping.wait(LOOK_S)


def stop(children: list[Child]) -> int:
    """End them in order, all at the same time; returns how many had to be killed."""
    running = [child.process for child in children if child.process is not None and child.process.is_alive()]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in running:
        process.join(max(0.0, deadline - time.monotonic()))
    late = [process for process in running if process.is_alive()]
    for process in late:
        process.kill()
        process.join()
    return len(late)


def run(settings: Settings) -> int:
    """Run as many workers as set until a signal comes; returns the exit code."""
    count = how_many(settings.processes)
    crew = Crew(count, _worker, (settings.model_dump(),))

    def received(number: int, _frame: object) -> None:
        if crew.stopping.is_set():
            os._exit(128 + number)  # the workers see that we are gone, and stop in order
        crew.stopping.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, received)
    print_line(f"{count} workers")
    return crew.run()


def _worker(number: int, given: dict[str, Any]) -> int:
    from fleetcap.commands import worker  # noqa: PLC0415 - the supervisor itself needs nothing of it

    settings = Settings(**given)
    changes: dict[str, Any] = {"processes": 1}
    if settings.web_port is not None:
        changes["web_port"] = settings.web_port + number
    if settings.instance_id:
        changes["instance_id"] = f"{settings.instance_id}-{number}"
    return worker.run(settings.model_copy(update=changes))


def _child(main: Callable[..., int], number: int, *arguments: Any) -> None:
    os.setpgid(0, 0)  # a Ctrl-C at the terminal reaches the supervisor alone, which then asks once
    threading.Thread(target=_follow, name="supervisor", daemon=True).start()
    sys.exit(main(number, *arguments))


def _follow() -> None:
    """Stop in order when the supervisor is gone, however it ended."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
