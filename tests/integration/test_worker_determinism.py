"""The same raw topic gives the same outputs, byte for byte: live or later, by however many workers, in whatever batches."""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from fleetcap.broker import EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics
from tests.faults.traffic import Talk
from tests.streams.kafka.harness import Topics, Worker, until_committed

pytestmark = [pytest.mark.kafka, pytest.mark.slow]
PARTITIONS = 6
Outputs: TypeAlias = dict[tuple[str, int], list[Any]]


def outputs(where: Topics) -> Outputs:
    found: Outputs = defaultdict(list)
    for topic in topics.OUTPUTS:
        for message in where.read(topic):
            partition = message.partition()
            assert partition is not None
            found[topic, partition].append((message.key(), message.value(), message.headers(), message.timestamp()))
    return found


def decode(where: Topics, folder: Path, workers: int, kills: int, *options: str) -> None:
    """Put the whole raw topic through so many workers at a time, with some of them killed in the middle."""
    ensure({"bootstrap.servers": where.bootstrap_servers}, specs(where.into or where.prefix, PARTITIONS))

    def start() -> Worker:
        return Worker(where, folder, "--real", "--session-ms", "6000", *options)

    crew = [start() for _ in range(workers)]
    try:
        for _ in range(kills):
            crew[0].until_said("owns")
            time.sleep(random.uniform(0, 0.5))
            crew.pop(0).kill()
            crew.append(start())
        until_committed(where, *crew)
        for worker in crew:
            assert worker.stop() == 0, worker.said()
    finally:
        for worker in crew:
            worker.kill()


def test_outputs_are_the_same_however_the_raw_topic_is_read(
    broker: EmbeddedBroker, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    random.seed(5)
    live = Topics(broker.bootstrap_servers, make_topics(PARTITIONS), PARTITIONS)
    with Talk(broker.bootstrap_servers, live.prefix, PARTITIONS, seed=5) as talk, Worker(live, tmp_path, "--real") as worker:
        worker.until_said("owns")
        time.sleep(6)
        talk.finish()
        until_committed(live, worker)
        assert worker.stop() == 0
    wanted = outputs(live)
    assert sum(len(found) for (topic, _), found in wanted.items() if topic == topics.EXCHANGES) == sum(talk.turns.values())

    ways = (
        (1, 0, ("--batch", "7", "--checkpoint-ms", "30")),
        (2, 1, ("--checkpoint-ms", "500")),
        (3, 2, ("--batch", "300")),
    )
    for workers, kills, options in ways:
        again = Topics(broker.bootstrap_servers, live.prefix, PARTITIONS, into=f"{live.prefix}{workers}-")
        decode(again, tmp_path, workers, kills, *options)
        found = outputs(again)
        assert {place: len(values) for place, values in found.items()} == {place: len(values) for place, values in wanted.items()}
        assert found == wanted
