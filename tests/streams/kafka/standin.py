"""A small engine with the real one's entrance, and a worker around it that tests can start and kill as a process.

It counts the records of each key, puts one output out for each, and forgets a key when log time has moved on by the idle
timeout. So an output lost, doubled or out of order, and a state that is not exactly at its offset, show in the counts.
"""

import argparse
import faulthandler
import os
import random
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fleetcap_proto import topics
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka import checkpoint
from fleetcap_streams.kafka.checkpoint import AbortedError, Fault, Step
from fleetcap_streams.kafka.config import WorkerConfig
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.kafka.owned import Parts
from fleetcap_streams.kafka.ticks import TICK
from fleetcap_streams.kafka.transport import FetchLimits
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry
from fleetcap_streams.worker import run_worker


class Out(NamedTuple):
    topic: str
    key: bytes | None
    values: Sequence[bytes]
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class Counted:
    count: int
    offset: int
    log_time_ms: int
    digits: int = 0

    def saved(self) -> bytes:
        return f"{self.count} {self.offset} {self.log_time_ms}".encode()


class StandIn:
    """`idle_ms` 0: keys are never forgotten."""

    unreadable = 0

    def __init__(self, idle_ms: int = 0) -> None:
        self._idle_ms = idle_ms
        self._keys: dict[str, Counted] = {}
        self._changed: dict[str, Counted | None] = {}

    def feed(self, records: Iterable[Record]) -> list[Any]:
        out: list[Any] = []
        for record in records:
            out += self._forget(record.log_time_ms)
            out += self._take(record)
        return out

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        changed, self._changed = self._changed, {}
        for key, counted in changed.items():
            yield key, None if counted is None else counted.saved()

    def restore(self, uuid: str, saved: bytes) -> None:
        count, offset, log_time_ms = saved.split()
        self._keys[uuid] = Counted(int(count), int(offset), int(log_time_ms))

    def next_deadline_ms(self) -> int | None:
        if not self._idle_ms or not self._keys:
            return None
        return min(counted.log_time_ms for counted in self._keys.values()) + self._idle_ms

    def __len__(self) -> int:
        return len(self._keys)

    def _forget(self, now_ms: int) -> Iterator[Out]:
        if not self._idle_ms:
            return
        over = [key for key, counted in self._keys.items() if counted.log_time_ms + self._idle_ms <= now_ms]
        for key in over:
            yield Out(topics.CONNECTIONS, key.encode(), [str(self._keys.pop(key).count).encode()], [])
            self._changed[key] = None

    def _take(self, record: Record) -> Iterator[Out]:
        if record.value == TICK:
            return
        if record.key is None or not record.value or not record.value.startswith(b"+"):
            yield Out(topics.DEADLETTER, b"", [record.value or b""], [("error", b"unreadable")])
            return
        key = record.key.decode()
        counted = self._keys.setdefault(key, Counted(0, -1, 0))
        if record.offset <= counted.offset:
            raise AssertionError("the state is ahead of the offset")
        counted.count += 1
        counted.offset, counted.log_time_ms = record.offset, record.log_time_ms
        self._changed[key] = counted
        yield Out(topics.EVENTS, record.key, [b"%d %s" % (counted.count, record.value[1:40])], [("n", b"1")])


def encode(output: Any, source: Source) -> Iterable[Any]:
    return (output._replace(key=source.key()) if output.topic == topics.DEADLETTER else output,)


def dying(step: Step, chance: float) -> Fault:
    """A fault that ends the process, as if killed, at one step of a checkpoint."""

    def fault(reached: Step, _partition: int) -> None:
        if reached is step and random.random() < chance:
            os._exit(137)

    return fault


def aborting(step: Step, chance: float) -> Fault:
    """A fault that makes Kafka's client give a transaction up at one step of it."""

    def fault(reached: Step, _partition: int) -> None:
        if reached is step and random.random() < chance:
            raise AbortedError("as the test wants it")

    return fault


def stalling(step: Step, chance: float, seconds: float) -> Fault:
    """A fault that makes a checkpoint take longer than its transaction may."""

    def fault(reached: Step, _partition: int) -> None:
        if reached is step and random.random() < chance:
            time.sleep(seconds)

    return fault


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap_servers")
    parser.add_argument("prefix")
    parser.add_argument("--idle-ms", type=int, default=0)
    parser.add_argument("--session-ms", type=int, default=6000)
    parser.add_argument("--checkpoint-ms", type=int, default=100)
    parser.add_argument("--die-at", choices=[step.value for step in Step])
    parser.add_argument("--abort-at", choices=[step.value for step in Step])
    parser.add_argument("--stall-at", choices=[step.value for step in Step])
    parser.add_argument("--stall-s", type=float, default=5.0)
    parser.add_argument("--transaction-ms", type=int, default=checkpoint.TRANSACTION_MS)
    parser.add_argument("--watchdog-ms", type=int, default=120_000)
    parser.add_argument("--instance", default="", help="for static membership")
    parser.add_argument("--web-port", type=int)
    parser.add_argument("--into", help="prefix of the output topics, where it is another than the raw topic's")
    parser.add_argument("--batch", type=int, default=4000, help="records handed over at once")
    parser.add_argument("--chance", type=float, default=1.0)
    parser.add_argument("--real", action="store_true", help="the real engine and encoder")
    parser.add_argument("--log-level", default="info")
    given = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)  # so that a test can show where a worker hangs
    checkpoint.TRANSACTION_MS = given.transaction_ms
    config = WorkerConfig(
        given.bootstrap_servers,
        group=f"{given.into or given.prefix}group",
        topic_prefix=given.prefix,
        output_prefix=given.into,
        session_timeout_ms=given.session_ms,
        checkpoint_interval_ms=given.checkpoint_ms,
        tick_interval_ms=200,
        stall_timeout_ms=given.watchdog_ms,
        instance_id=given.instance,
        web_port=given.web_port,
        fetch=FetchLimits(records=given.batch),
        log_level=given.log_level,
    )
    fault = dying(Step(given.die_at), given.chance) if given.die_at else None
    fault = aborting(Step(given.abort_at), given.chance) if given.abort_at else fault
    fault = stalling(Step(given.stall_at), given.chance, given.stall_s) if given.stall_at else fault
    if given.real:
        registry = default_registry()
        return run_worker(config, Parts(lambda: Engine(registry), Encoder(), fault))
    return run_worker(config, Parts(lambda: StandIn(given.idle_ms), encode, fault))


if __name__ == "__main__":
    sys.exit(main())
