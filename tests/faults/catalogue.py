"""Every fault there is: a function of the stage that returns when the fault is over; healing is the workers' own affair."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from fleetcap.broker import EmbeddedBroker
from fleetcap_streams.kafka.checkpoint import Step
from tests.faults.stage import SESSION_MS, TRANSACTION_MS, Stage
from tests.streams.kafka.harness import Worker

DOWN_S: Final = (0.2, 2.0)  # of a broker
KILLED: Final = 137


@dataclass(frozen=True, slots=True)
class Fault:
    """`brokers`: how many there must be at least."""

    name: str
    do: Callable[[Stage], None]
    brokers: int = 1


def catalogue(brokers: int) -> list[Fault]:
    """All faults that can be done to so many brokers, in a fixed order."""
    return [fault for fault in _all() if fault.brokers <= brokers]


def _all() -> Iterator[Fault]:
    yield Fault("worker killed", _kill_worker)
    yield Fault("worker stopped in order", _stop_worker)
    yield Fault("worker frozen for a moment", partial(_freeze_worker, 0.3, 0.8))
    yield Fault("worker frozen past its session", partial(_freeze_worker, 1.5, 2.0))
    yield Fault("all workers killed", _kill_all_workers)
    yield Fault("local state deleted, worker killed", _lose_local_state)
    yield Fault("rebalance storm", _storm)
    for step in Step:
        yield Fault(f"death at checkpoint step: {step.value}", partial(_die_at, step))
    for step in Step:
        if step is not Step.COMMITTED:
            yield Fault(f"abort at checkpoint step: {step.value}", partial(_abort_at, step))
    yield Fault("transaction expired", _expire)
    yield Fault("broker killed", _kill_broker)
    yield Fault("broker restarted in order", _restart_broker)
    yield Fault("broker frozen", _freeze_broker)
    yield Fault("worker and broker killed together", _kill_both)
    yield Fault("active controller killed", _kill_controller, brokers=3)
    yield Fault("all brokers killed, one after another", _roll_brokers, brokers=3)
    yield Fault("all brokers killed at once", _kill_all_brokers, brokers=3)


def _kill_worker(stage: Stage) -> None:
    stage.any_worker().kill()


def _stop_worker(stage: Stage) -> None:
    worker = stage.any_worker()
    assert worker.stop() == 0, worker.said()[-1500:]


def _freeze_worker(least: float, most: float, stage: Stage) -> None:
    worker = stage.any_worker()
    worker.process.send_signal(signal.SIGSTOP)
    _let_pass(stage, stage.rng.uniform(least, most) * SESSION_MS / 1000)
    worker.process.send_signal(signal.SIGCONT)


def _kill_all_workers(stage: Stage) -> None:
    for worker in stage.workers:
        worker.kill()


def _lose_local_state(stage: Stage) -> None:
    worker = stage.any_worker()
    stage.lose_local()
    time.sleep(0.3)
    worker.kill()
    stage.lose_local()


def _storm(stage: Stage) -> None:
    guests = []
    for _ in range(3):
        guests.append(stage.worker())
        _let_pass(stage, stage.rng.uniform(0.5, 2.5))
    for guest in stage.rng.sample(guests, k=3):
        if stage.rng.random() < 0.5:
            guest.kill()
        else:
            guest.process.send_signal(signal.SIGTERM)
        _let_pass(stage, stage.rng.uniform(0, 1))


def _die_at(step: Step, stage: Stage) -> None:
    doomed = _instead(stage, "--die-at", step.value, "--chance", "0.3")
    stage.until(lambda: not doomed.running(), tended=False)
    assert doomed.process.returncode == KILLED, doomed.said()[-1500:]


def _abort_at(step: Step, stage: Stage) -> None:
    aborting = _instead(stage, "--abort-at", step.value, "--chance", "0.3")
    stage.until(lambda: "going back to the last one" in aborting.said() or not aborting.running(), tended=False)
    aborting.process.send_signal(signal.SIGTERM)


def _expire(stage: Stage) -> None:
    late = _instead(stage, "--stall-at", Step.BEFORE_COMMIT.value, "--stall-s", str(TRANSACTION_MS / 1000 + 3), "--chance", "0.5")
    _let_pass(stage, TRANSACTION_MS / 1000 + 6)
    late.process.send_signal(signal.SIGTERM)
    stage.until(lambda: not late.running(), tended=False)


def _kill_broker(stage: Stage) -> None:
    _broker_down(stage, stage.rng.choice(stage.cluster.brokers), EmbeddedBroker.kill)


def _restart_broker(stage: Stage) -> None:
    _broker_down(stage, stage.rng.choice(stage.cluster.brokers), EmbeddedBroker.stop)


def _freeze_broker(stage: Stage) -> None:
    broker = stage.rng.choice(stage.cluster.brokers)
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    _let_pass(stage, stage.rng.uniform(1, 5))
    os.kill(broker.pid, signal.SIGCONT)


def _kill_both(stage: Stage) -> None:
    stage.any_worker().kill()
    _kill_broker(stage)


def _kill_controller(stage: Stage) -> None:
    _broker_down(stage, stage.cluster.controller(), EmbeddedBroker.kill)


def _roll_brokers(stage: Stage) -> None:
    for broker in stage.cluster.brokers:
        _broker_down(stage, broker, EmbeddedBroker.kill)
        stage.catch_up()


def _kill_all_brokers(stage: Stage) -> None:
    for broker in stage.cluster.brokers:
        broker.kill()
    _let_pass(stage, stage.rng.uniform(*DOWN_S))
    stage.cluster.start(*stage.cluster.brokers)


def _broker_down(stage: Stage, broker: EmbeddedBroker, end: Callable[[EmbeddedBroker], None]) -> None:
    end(broker)
    _let_pass(stage, stage.rng.uniform(*DOWN_S))
    stage.cluster.start(broker)


def _instead(stage: Stage, *options: str) -> Worker:
    """Start a worker with a fault in it, and stop another in order so that the new one gets work soon."""
    other = stage.any_worker()
    started = stage.worker(*options)
    other.process.send_signal(signal.SIGTERM)
    stage.until(lambda: "owns" in started.said() or not started.running(), tended=False)
    return started


def _let_pass(stage: Stage, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stage.tend()
        time.sleep(0.1)
