"""The embedded broker's life: it keeps its data and port across a crash, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import TopicSpec, ensure

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def _send(servers: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": servers, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(20) == 0


def _read(servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = [message.value() for message in consumer.consume(count, timeout=20)]
    consumer.close()
    return found


def test_a_killed_broker_comes_back_with_its_data_on_its_port(tmp_path: Path) -> None:
    with EmbeddedBroker(BrokerOptions(data=tmp_path / "kafka", heap_mb=256)) as broker:
        servers = broker.bootstrap_servers
        ensure({"bootstrap.servers": servers}, [TopicSpec("kept", 1, 1, {})])
        _send(servers, "kept", b"before")
        broker.kill()
        assert not broker.running()
        broker.start()
        assert broker.bootstrap_servers == servers
        _send(servers, "kept", b"after")
        assert _read(servers, "kept", 2) == [b"before", b"after"]
        pid = broker.pid
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert (tmp_path / "kafka" / "log" / "meta.properties").exists()


def test_topics_are_never_made_by_asking_for_them(broker: EmbeddedBroker, topic_prefix: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "topic.metadata.propagation.max.ms": 0})
    failed: list[str] = []
    producer.produce(f"{topic_prefix}typo", b"x", on_delivery=lambda error, _: failed.append(error.name() if error else ""))
    producer.flush(20)
    (name,) = failed
    assert "UNKNOWN_TOPIC" in name


STARTER = """
import sys, time
from fleetcap.broker import BrokerOptions, EmbeddedBroker
broker = EmbeddedBroker(BrokerOptions(heap_mb=256))
broker.start()
print(broker.pid, broker.data, flush=True)
time.sleep(600)
"""


def test_it_dies_with_its_parent_even_when_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pid, data = parent.stdout.readline().split()
    os.kill(int(pid), 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(200):
        if not _alive(int(pid)):
            break
        time.sleep(0.05)
    assert not _alive(int(pid))
    subprocess.run(["rm", "-r", data], check=True)


def _alive(pid: int) -> bool:
    # An orphan may stay a zombie where nobody reaps it, as in a container without an init.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
