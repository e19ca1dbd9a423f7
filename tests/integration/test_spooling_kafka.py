"""Kafka away, a spool on disk, and a producer that is killed meanwhile: nothing is lost, nothing overtakes, doubles are known."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_producer.shipping import Shipper, ShipperOptions
from fleetcap_producer.spool import Spool
from fleetcap_producer.spooling import SpoolingOptions, SpoolingSink
from tests.integration.numbered import numbers, read_all, record

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SIZE = 200
CONNECTIONS = 4


@pytest.fixture(scope="module")
def own_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(BrokerOptions(heap_mb=256)) as broker:
        yield broker


@pytest.fixture
def topic(own_broker: EmbeddedBroker, topic_prefix: str) -> str:
    own_broker.start()
    ensure({"bootstrap.servers": own_broker.bootstrap_servers}, specs(topic_prefix, 3)[:1])
    return f"{topic_prefix}fleetcap.raw.v1"


def _sink(servers: str, topic: str, folder: Path, patience_s: float = 0.3) -> SpoolingSink:
    options = ShipperOptions(topic=topic, needed_at_start=False, tracked=True, start_timeout_s=1.0)
    return SpoolingSink(Shipper({"bootstrap.servers": servers}, options), Spool(folder), SpoolingOptions(patience_s))


def _send(sink: SpoolingSink, first: int, last: int) -> None:
    for n in range(first, last):
        sink.send(record(f"c{n % CONNECTIONS}", [n * SIZE], SIZE), 0.0)
        if n % 20 == 0:
            sink.poll()
            time.sleep(0.005)


def _wait_until_caught_up(sink: SpoolingSink) -> None:
    deadline = time.monotonic() + 60
    while sink.spooling:
        assert time.monotonic() < deadline, "it did not catch up"
        sink.poll()
        time.sleep(0.02)


def test_an_outage_is_bridged_by_the_disk_and_caught_up_in_order_and_once(
    own_broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    servers, total = own_broker.bootstrap_servers, 6000
    sink = _sink(servers, topic, tmp_path / "spool")
    _send(sink, 0, 1000)
    own_broker.kill()
    _send(sink, 1000, 4000)
    assert sink.spooling
    assert sink.kept_bytes > 500_000
    own_broker.start()
    _send(sink, 4000, 5000)
    _wait_until_caught_up(sink)
    assert sink.kept_bytes == 0
    _send(sink, 5000, total)
    sink.close(60.0)
    assert sink.losses() == {}
    found = numbers(read_all({"bootstrap.servers": servers}, topic, total))
    assert found == {f"c{c}": [n * SIZE for n in range(c, total, CONNECTIONS)] for c in range(CONNECTIONS)}


KILLED = """
import sys, time
from pathlib import Path
from tests.integration.test_spooling_kafka import _send, _sink
sink = _sink(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
_send(sink, int(sys.argv[4]), int(sys.argv[5]))
deadline = time.monotonic() + 30
while not sink.spooling and sys.argv[6] == "away" and time.monotonic() < deadline:
    sink.poll(); time.sleep(0.02)
print("sent", flush=True)
while True:
    sink.poll(); time.sleep(0.001)
"""


def _killed(servers: str, topic: str, folder: Path, numbers_sent: tuple[int, int], kafka: str, *, after_s: float = 0.0) -> None:
    command = [sys.executable, "-c", KILLED, servers, topic, str(folder), *map(str, numbers_sent), kafka]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "sent\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)


def test_a_producer_killed_while_kafka_is_away_and_again_while_catching_up_loses_nothing(
    own_broker: EmbeddedBroker, topic: str, tmp_path: Path
) -> None:
    servers, folder = own_broker.bootstrap_servers, tmp_path / "spool"
    own_broker.kill()
    _killed(servers, topic, folder, (0, 3000), "away")
    _killed(servers, topic, folder, (3000, 4000), "away")
    own_broker.start()
    for _ in range(3):  # in the midst of catching up, at another place each time
        _killed(servers, topic, folder, (0, 0), "there", after_s=0.05)
    sink = _sink(servers, topic, folder)
    sink.close(60.0)
    assert sink.losses() == {}
    found = _everything(servers, topic)
    for c in range(CONNECTIONS):
        first_seen = list(dict.fromkeys(found[f"c{c}"]))
        assert first_seen == [n * SIZE for n in range(c, 4000, CONNECTIONS)], "complete, and in order but for what came twice"
    assert not list(folder.glob("*.spool"))


def _everything(servers: str, topic: str) -> dict[str, list[int]]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "count"})
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    count = sum(consumer.get_watermark_offsets(TopicPartition(topic, one))[1] for one in partitions)
    consumer.close()
    return numbers(read_all({"bootstrap.servers": servers}, topic, count))
