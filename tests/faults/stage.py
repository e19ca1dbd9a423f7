"""What faults are done to: brokers, workers that are started again when they end, traffic, and an oracle that reads along."""

import os
import random
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException

from fleetcap.topics import ensure, specs
from tests.faults.cluster import Cluster
from tests.faults.oracle import Difference, Oracle
from tests.faults.traffic import Talk
from tests.streams.kafka.harness import Topics, Worker

PARTITIONS: Final = 4
SESSION_MS: Final = 2000
TRANSACTION_MS: Final = 8000  # longer than a broker of these tests takes to come back
PATIENCE_S: Final = 150.0
REAL: Final = ("--real", "--session-ms", str(SESSION_MS), "--transaction-ms", str(TRANSACTION_MS))


class StuckError(Exception):
    """What was sent is not consumed, however long one waits."""


class Stage:
    """Everything that runs while faults happen. `workers` is how many there are between two faults."""

    def __init__(self, cluster: Cluster, folder: Path, seed: int, prefix: str = "f-", workers: int = 2) -> None:
        self.cluster = cluster
        self.rng = random.Random(seed)
        self.workers: list[Worker] = []
        self.restarted = 0  # workers that ended by themselves
        self.local = folder / "local"  # where workers may keep what they like
        self._folder = folder
        self._size = workers
        self._undo = ExitStack()
        ensure({"bootstrap.servers": cluster.bootstrap_servers}, specs(prefix, PARTITIONS))
        self.topics = Topics(cluster.bootstrap_servers, prefix, PARTITIONS)
        self.talk = Talk(cluster.bootstrap_servers, prefix, PARTITIONS, seed)
        self.oracle = Oracle(cluster.bootstrap_servers, prefix, PARTITIONS)

    def __enter__(self) -> Self:
        self._undo.callback(self.oracle.close)
        self._undo.callback(self._kill_all)
        self.tend()
        self._undo.enter_context(self.talk)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    def _kill_all(self) -> None:
        for worker in self.workers:
            worker.kill()

    def worker(self, *options: str) -> Worker:
        """Start one; it belongs to the crew from then on."""
        self.local.mkdir(exist_ok=True)
        environment = {**os.environ, "TMPDIR": str(self.local), "HOME": str(self.local)}
        started = Worker(self.topics, self._folder, *REAL, *options, environment=environment)
        self.workers.append(started)
        return started

    def lose_local(self) -> None:
        shutil.rmtree(self.local, ignore_errors=True)

    def any_worker(self) -> Worker:
        self.tend()
        return self.rng.choice(self.workers)

    def tend(self) -> None:
        """What a supervisor does: whoever has ended is started again."""
        ended = [worker for worker in self.workers if not worker.running()]
        self.workers = [worker for worker in self.workers if worker.running()]
        self.restarted += len(ended)
        while len(self.workers) < self._size:
            self.worker()

    def until(self, reached: Callable[[], bool], patience_s: float = PATIENCE_S, *, tended: bool = True) -> float:
        """Wait, with workers started again meanwhile; returns how many seconds it took.

        Raises:
            StuckError: it takes too long.
        """
        began = time.monotonic()
        while not reached():
            if tended:
                self.tend()
            if time.monotonic() - began > patience_s:
                raise StuckError("\n".join(worker.said()[-1500:] for worker in self.workers))
            time.sleep(0.1)
        return time.monotonic() - began

    def catch_up(self) -> float:
        """Wait until all that was sent by now is consumed for good; returns how many seconds it took."""
        ends: list[int] = []

        def consumed() -> bool:
            with suppress(KafkaException):
                ends[:] = ends or self.topics.ends()
                return all(done >= end for done, end in zip(self.topics.committed(), ends, strict=True))
            return False

        return self.until(consumed)

    def finish(self) -> Difference:
        """End traffic and workers, and compare all there is."""
        self.talk.finish()
        self.catch_up()
        codes = [worker.stop() for worker in self.workers]
        assert not any(codes), [worker.said()[-1500:] for worker in self.workers]
        difference = self.oracle.look(final=True)
        self.oracle.broken += [
            f"{uuid}: {self.oracle.turns[uuid]} of {turns} exchanges came out"
            for uuid, turns in self.talk.turns.items()
            if self.oracle.turns[uuid] != turns
        ]
        return difference
