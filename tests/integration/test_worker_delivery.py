"""The worker on a real broker: every record's output once and in order, however it ends and begins again."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics
from fleetcap_streams.kafka.checkpoint import Step
from tests.streams.kafka.harness import Topics, Traffic, Worker, until, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 4
# Dead workers are noticed soon, so that tests do not spend their time waiting for it.
QUICK = ("--session-ms", "2000")


@pytest.fixture(scope="module")
def quick_broker() -> Iterator[EmbeddedBroker]:
    """A broker that allows short sessions."""
    with EmbeddedBroker(BrokerOptions(heap_mb=384, properties={"group.min.session.timeout.ms": "500"})) as running:
        yield running


@pytest.fixture
def fresh(quick_broker: EmbeddedBroker, topic_prefix: str) -> Topics:
    ensure({"bootstrap.servers": quick_broker.bootstrap_servers}, specs(topic_prefix, PARTITIONS))
    return Topics(quick_broker.bootstrap_servers, topic_prefix, PARTITIONS)


def fill(where: Topics, keys: int, records: int) -> None:
    for _ in range(records):
        for key in range(keys):
            where.send(key)
    where.flush()


def test_a_backlog_comes_out_once_and_in_order(make_topics: Callable[..., str], broker: EmbeddedBroker, tmp_path: Path) -> None:
    where = Topics(broker.bootstrap_servers, make_topics(PARTITIONS), PARTITIONS)
    fill(where, keys=50, records=400)
    with Worker(where, tmp_path) as worker:
        until_committed(where, worker)
        assert worker.stop() == 0
        assert "ERROR" not in worker.said()
    assert where.committed() == where.ends()
    where.check_events()


def test_state_survives_a_stop_in_order(fresh: Topics, tmp_path: Path) -> None:
    for _ in range(2):
        with Worker(fresh, tmp_path, *QUICK) as worker:
            fill(fresh, keys=20, records=50)
            until_committed(fresh, worker)
            assert worker.stop() == 0
    assert "20 connections restored" in worker.said()
    fresh.check_events()


def test_a_signal_in_mid_traffic_checkpoints_everything_consumed(fresh: Topics, tmp_path: Path) -> None:
    # No checkpoint is due by time, so that the last one is all there is.
    with Traffic(fresh), Worker(fresh, tmp_path, *QUICK, "--checkpoint-ms", "60000") as worker:
        worker.until_said("owns")
        time.sleep(1)
        assert worker.stop() == 0
    consumed = sum(fresh.committed())
    assert consumed > 0
    assert len(fresh.read(topics.EVENTS)) == consumed


def test_kills_at_random_moments_lose_and_double_nothing(fresh: Topics, tmp_path: Path) -> None:
    random.seed(7)
    with Traffic(fresh):
        for _ in range(5):
            with Worker(fresh, tmp_path, *QUICK) as worker:
                worker.until_said("owns")
                time.sleep(random.uniform(0, 1))
                worker.kill()
    with Worker(fresh, tmp_path, *QUICK) as worker:
        until_committed(fresh, worker)
        assert worker.stop() == 0
    fresh.check_events()


@pytest.mark.parametrize("step", Step)
def test_a_death_at_each_step_of_a_checkpoint_loses_and_doubles_nothing(fresh: Topics, tmp_path: Path, step: Step) -> None:
    fill(fresh, keys=20, records=20)
    with Worker(fresh, tmp_path, *QUICK, "--die-at", step.value) as worker:
        assert worker.process.wait(60) == 137
    fill(fresh, keys=20, records=20)
    with Worker(fresh, tmp_path, *QUICK) as worker:
        until_committed(fresh, worker)
        assert worker.stop() == 0
    fresh.check_events()


def test_another_worker_takes_over_from_a_killed_one(fresh: Topics, tmp_path: Path) -> None:
    with Traffic(fresh), Worker(fresh, tmp_path, *QUICK) as first, Worker(fresh, tmp_path, *QUICK) as second:
        for worker in (first, second):
            worker.until_said("owns")
        until(lambda: "owns partitions 0, 1, 2, 3" not in (first.said() + second.said()).splitlines()[-1], first, second)
        time.sleep(2)
        first.kill()
        until(lambda: second.said().count("owns partitions 0, 1, 2, 3 ") >= 1, second)
        time.sleep(1)
        until_committed(fresh, second)
    with Worker(fresh, tmp_path, *QUICK) as worker:
        until_committed(fresh, worker)
        assert worker.stop() == 0
    fresh.check_events()


def test_workers_come_and_go(fresh: Topics, tmp_path: Path) -> None:
    with Traffic(fresh), Worker(fresh, tmp_path, *QUICK) as stays:
        stays.until_said("owns")
        for _ in range(2):
            with Worker(fresh, tmp_path, *QUICK) as guest:
                guest.until_said("owns")
                time.sleep(0.5)
                assert guest.stop() == 0, guest.said()
    with Worker(fresh, tmp_path, *QUICK) as last:
        until_committed(fresh, last)
    fresh.check_events()


def test_a_zombie_writes_nothing_and_says_why_it_ends(fresh: Topics, tmp_path: Path) -> None:
    with Traffic(fresh), Worker(fresh, tmp_path, *QUICK) as zombie:
        zombie.until_said("owns")
        time.sleep(0.5)
        zombie.process.send_signal(signal.SIGSTOP)
        with Worker(fresh, tmp_path, *QUICK) as heir:
            heir.until_said("owns partitions 0, 1, 2, 3")
            time.sleep(0.5)
            zombie.process.send_signal(signal.SIGCONT)
            assert zombie.process.wait(60) == 1
            assert "was taken over by another worker" in zombie.said().splitlines()[-1]
            assert heir.running()
    with Worker(fresh, tmp_path, *QUICK) as last:
        until_committed(fresh, last)
    fresh.check_events()


def test_a_broker_that_restarts_in_mid_traffic_loses_nothing(topic_prefix: str, tmp_path: Path) -> None:
    with EmbeddedBroker(BrokerOptions(heap_mb=384)) as broker:
        ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(topic_prefix, PARTITIONS))
        where = Topics(broker.bootstrap_servers, topic_prefix, PARTITIONS)
        with Worker(where, tmp_path) as worker:
            with Traffic(where):
                worker.until_said("owns")
                for end in (broker.stop, broker.kill):
                    time.sleep(1)
                    end()
                    time.sleep(1)
                    broker.start()
                    time.sleep(1)
            until_committed(where, worker)
            assert worker.stop() == 0, worker.said()
            assert "no broker can be reached" in worker.said()
            assert "a broker can be reached again" in worker.said()
        where.check_events()
