"""The worker on a real broker: what the data cannot do to it, what ticks do, and what it says when it cannot start."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetcap.broker import EmbeddedBroker
from fleetcap_proto import topics
from fleetcap_streams.kafka.ticks import TICK
from tests.streams.kafka.harness import Topics, Worker, until, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 2
MIB = 1024 * 1024


@pytest.fixture
def fresh(broker: EmbeddedBroker, make_topics: Callable[..., str]) -> Topics:
    return Topics(broker.bootstrap_servers, make_topics(PARTITIONS), PARTITIONS)


def test_nothing_in_a_record_stops_the_worker(fresh: Topics, tmp_path: Path) -> None:
    strange: list[tuple[bytes | None, bytes | None]] = [
        (None, None),
        (b"k1", None),
        (None, b""),
        (b"", b"\xff" * 1000),
        (b"\xff\xfe", b"garbage"),
        (b"k0", b"z" * (2 * MIB - 2000)),
        (b"k" * 60_000, b"garbage"),
    ]
    for key, value in strange:
        fresh.send(0)
        fresh.send_raw(key, value, 0)
    fresh.send(0)
    fresh.flush()
    with Worker(fresh, tmp_path) as worker:
        until_committed(fresh, worker)
        assert worker.stop() == 0
    fresh.check_events()
    letters = fresh.read(topics.DEADLETTER)
    assert [letter.value() or b"" for letter in letters] == [value or b"" for _, value in strange]
    source = f"{fresh.prefix}{topics.RAW}-0-"
    assert [letter.key() for letter in letters] == [f"{source}{2 * n + 1}".encode() for n in range(len(strange))]


def test_aborted_checkpoints_are_made_again(fresh: Topics, tmp_path: Path) -> None:
    for _ in range(300):
        for key in range(10):
            fresh.send(key)
    fresh.flush()
    options = ("--checkpoint-ms", "20", "--chance", "0.3")
    for step in ("begun", "produced", "before offsets", "before commit"):
        with Worker(fresh, tmp_path, *options, "--abort-at", step) as worker:
            worker.until_said("owns")
            for _ in range(20):
                for key in range(10):
                    fresh.send(key)
                fresh.flush()
                time.sleep(0.05)
            until_committed(fresh, worker)
            assert worker.stop() == 0, worker.said()
            assert "going back to the last one" in worker.said()
    fresh.check_events()


def test_outputs_carry_the_log_time_of_their_records(fresh: Topics, tmp_path: Path) -> None:
    for _ in range(3):
        fresh.send(0)
        fresh.flush()
        time.sleep(0.05)
    with Worker(fresh, tmp_path) as worker:
        until_committed(fresh, worker)
    raw = [message.timestamp()[1] for message in fresh.read(topics.RAW)]
    assert [message.timestamp()[1] for message in fresh.read(topics.EVENTS)] == raw


def test_a_silent_partition_is_ticked_until_nothing_waits(fresh: Topics, tmp_path: Path) -> None:
    fresh.send(0)
    fresh.send(1)
    fresh.flush()
    with Worker(fresh, tmp_path, "--idle-ms", "1000") as worker:
        until(lambda: len(fresh.read(topics.CONNECTIONS)) == 2, worker)
        before = fresh.ends()
        time.sleep(2)
        assert fresh.ends() == before
        assert worker.stop() == 0
    ticks = [message for message in fresh.read(topics.RAW) if message.value() == TICK]
    assert {message.partition() for message in ticks} == {0, 1}
    assert all(message.key() is None for message in ticks)
    assert len(ticks) <= 6  # one or two each would do; a worker that is late writes another


def test_a_tick_ends_what_a_former_worker_left_waiting(fresh: Topics, tmp_path: Path) -> None:
    with Worker(fresh, tmp_path, "--idle-ms", "3000") as worker:
        worker.until_said("owns")
        fresh.send(0)
        fresh.flush()
        until_committed(fresh, worker)
        assert worker.stop() == 0
    assert not fresh.read(topics.CONNECTIONS)
    with Worker(fresh, tmp_path, "--idle-ms", "3000") as worker:
        until(lambda: len(fresh.read(topics.CONNECTIONS)) == 1, worker)


def test_memory_does_not_grow_with_lag(fresh: Topics, tmp_path: Path) -> None:
    def peak(mebibytes: int) -> int:
        for number in range(mebibytes * 4):
            fresh.send(number % 2, padding=MIB // 4)
        fresh.flush()
        most = 0
        with Worker(fresh, tmp_path) as worker:
            ends = fresh.ends()
            while any(done < end for done, end in zip(fresh.committed(), ends, strict=True)):
                assert worker.running(), worker.said()
                most = max(most, worker.resident_bytes())
            assert worker.stop() == 0
        return most

    assert peak(320) < peak(40) + 60 * MIB
    fresh.check_events()


def test_kafka_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    nowhere = Topics("127.0.0.1:9", "x-", 1)
    with Worker(nowhere, tmp_path) as worker:
        assert worker.process.wait(60) == 1
    (line,) = worker.said().splitlines()
    assert "cannot reach Kafka at 127.0.0.1:9" in line
    assert "fleetcap broker" in line


def test_missing_topics_are_one_line(broker: EmbeddedBroker, topic_prefix: str, tmp_path: Path) -> None:
    with Worker(Topics(broker.bootstrap_servers, topic_prefix, 1), tmp_path) as worker:
        assert worker.process.wait(60) == 1
    (line,) = worker.said().splitlines()
    assert f"{topic_prefix}{topics.RAW}" in line
    assert "fleetcap topics create" in line
