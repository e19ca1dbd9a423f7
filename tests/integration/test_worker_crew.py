"""Several workers of one command, a worker too many, and one that comes back before anybody has noticed."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap.broker import EmbeddedBroker
from tests.faults.traffic import Talk
from tests.streams.kafka.harness import Topics, Worker, until, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 4


@pytest.fixture
def fresh(broker: EmbeddedBroker, make_topics: Callable[..., str]) -> Topics:
    return Topics(broker.bootstrap_servers, make_topics(PARTITIONS), PARTITIONS)


def test_processes_of_one_command_share_the_work_and_stop_together(fresh: Topics, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleetcap", "worker", "--processes", "2", "-b", fresh.bootstrap_servers]
    command += ["--topic-prefix", fresh.prefix, "--group", f"{fresh.prefix}group"]
    log = tmp_path / "log"
    with log.open("wb") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            until(lambda: len(re.findall(r"owns partitions \d, \d of", log.read_text())) >= 2)
            with Talk(fresh.bootstrap_servers, fresh.prefix, PARTITIONS, seed=1):
                time.sleep(1)
            until_committed(fresh)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    assert log.read_text().count("INFO    stopped") == 2


def test_a_worker_without_partitions_is_not_taken_for_stuck(
    broker: EmbeddedBroker, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    where = Topics(broker.bootstrap_servers, make_topics(1), 1)
    options = ("--watchdog-ms", "4000", "--session-ms", "6000")
    with Worker(where, tmp_path, *options) as first, Worker(where, tmp_path, *options) as second:
        until(lambda: "owns" in first.said() + second.said(), first, second)
        where.send(0)
        where.flush()
        time.sleep(10)
        assert first.running(), first.said()
        assert second.running(), second.said()


def test_a_worker_that_is_stuck_ends_and_says_why(fresh: Topics, tmp_path: Path) -> None:
    options = ("--watchdog-ms", "4000", "--stall-at", "before commit", "--stall-s", "600")
    with Worker(fresh, tmp_path, *options) as worker:
        worker.until_said("owns")
        fresh.send(0)
        fresh.flush()
        assert worker.process.wait(60) == 1
    assert "the worker is stuck: it has been waiting for a checkpoint of partition 0" in worker.said()
    with Worker(fresh, tmp_path) as worker:
        until_committed(fresh, worker)
    fresh.check_events()


def test_a_static_member_that_comes_back_soon_disturbs_nobody(fresh: Topics, tmp_path: Path) -> None:
    options = ("--session-ms", "30000")
    with Worker(fresh, tmp_path, *options, "--instance", "b") as stays:
        stays.until_said("owns partitions 0, 1, 2, 3")  # or both would come in one and the same rebalance
        with Worker(fresh, tmp_path, *options, "--instance", "a") as first:
            until(lambda: "owns" in first.said() and "gave up" in stays.said(), first, stays)
            until(lambda: stays.said().splitlines()[-1].count("owns partitions") == 1, first, stays)
            before = stays.said()
            first.kill()
        with Worker(fresh, tmp_path, *options, "--instance", "a") as again:
            again.until_said("owns")
            for key in range(8):
                fresh.send(key)
            fresh.flush()
            until_committed(fresh, stays, again)
            assert stays.said() == before
    fresh.check_events()
