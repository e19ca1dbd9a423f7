"""The worker against a plain confluent-kafka loop around the same engine: what Faust, tables and transactions cost.

    .venv/bin/python -m bench.worker [--records 40000] [--rounds 2] [--json FILE]

One embedded broker, one topic of small HTTP/1.1 exchanges, eight of them (sixteen raw events) in a record, four partitions.
Both read it from the beginning and write the same output topics; they run in turn. The loop is at least once; the worker
writes outputs, states and offsets in transactions. A run's rate is taken between its first and its last committed offset, so
that starting up does not count.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from bench.traffic import Connection
from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

PARTITIONS = 4
CONNECTIONS = 400
EXCHANGES_A_RECORD = 8
PATIENCE_S = 600
EVENTS_A_RECORD = 2 * EXCHANGES_A_RECORD


def fill(servers: str, records: int) -> None:
    producer = Producer({"bootstrap.servers": servers, "compression.type": "lz4", "linger.ms": 20})
    connections = [Connection(number) for number in range(CONNECTIONS)]
    for number in range(records):
        connection = connections[number % CONNECTIONS]
        partition = number % CONNECTIONS % PARTITIONS
        producer.produce(topics.RAW, connection.record(EXCHANGES_A_RECORD), connection.uuid.encode(), partition)
        producer.poll(0)
        if number % 10_000 == 0:
            producer.flush()
    producer.flush()


def rate(servers: str, group: str, records: int) -> float:
    """Records a second between the first and the last commit of a group that starts at the beginning."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
    partitions = [TopicPartition(topics.RAW, number) for number in range(PARTITIONS)]
    first: tuple[float, int] | None = None
    deadline = time.monotonic() + PATIENCE_S
    while True:
        now = time.monotonic()
        if now > deadline:
            raise SystemExit(f"{group} did not consume {records} records in {PATIENCE_S} s; see what it said above")
        try:
            done = sum(max(found.offset, 0) for found in consumer.committed(partitions, timeout=30))
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_COORDINATOR:
                raise
            done = 0  # a new broker is still making its topic of offsets
        if done and first is None:
            first = now, done
        if first is not None and done >= records:
            consumer.close()
            return (done - first[1]) / (now - first[0]) if done > first[1] else float("nan")
        time.sleep(0.02)


def run_worker(servers: str, group: str, records: int) -> float:
    command = [sys.executable, "-m", "fleetcap", "worker", "-b", servers, "--group", group, "--log-level", "warning"]
    process = subprocess.Popen(command)
    try:
        return rate(servers, group, records)
    finally:
        process.terminate()
        process.wait()


def run_loop(servers: str, group: str, records: int) -> float:
    process = subprocess.Popen([sys.executable, "-m", "bench.worker", "--loop", servers, group, str(records)])
    try:
        return rate(servers, group, records)
    finally:
        process.terminate()
        process.wait()


def loop(servers: str, group: str, records: int) -> None:
    """Read, decode, write, commit five times a second; at least once, no states."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False})
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 500_000,
        }
    )
    consumer.assign([TopicPartition(topics.RAW, number, 0) for number in range(PARTITIONS)])
    engines = [Engine(default_registry()) for _ in range(PARTITIONS)]
    encode, done, committed = Encoder(), 0, time.monotonic()
    while done < records:
        for message in consumer.consume(1000, 0.1):
            partition, offset = message.partition() or 0, message.offset() or 0
            record = Record(offset, message.key(), message.value(), message.timestamp()[1])
            source = Source(topics.RAW, partition, offset)
            for output in engines[partition].feed((record,)):
                for one in encode(output, source):
                    produce(producer, one.topic, one.value, one.key, partition)
            done += 1
        producer.poll(0)
        if time.monotonic() - committed > 0.2 or done >= records:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed = time.monotonic()
    consumer.close()


def produce(producer: Producer, topic: str, value: bytes, key: bytes | None, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.05)
        else:
            return


def main() -> None:
    if sys.argv[1:2] == ["--loop"]:
        loop(sys.argv[2], sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    variants: dict[str, Callable[[str, str, int], float]] = {"plain loop, at least once": run_loop, "fleetcap worker": run_worker}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as data, EmbeddedBroker(BrokerOptions(data=Path(data), heap_mb=1024)) as broker:
        ensure({"bootstrap.servers": broker.bootstrap_servers}, specs(partitions=PARTITIONS, replication=1))
        fill(broker.bootstrap_servers, options.records)
        for number in range(options.rounds):
            for name, run in variants.items():
                rates[name].append(run(broker.bootstrap_servers, f"bench-{number}-{len(name)}", options.records))
    report(rates, options.json)


def report(rates: dict[str, list[float]], file: Path | None) -> None:
    base = statistics.median(rates["plain loop, at least once"])
    figures = {}
    print("| variant | records/s | raw events/s | ÷ plain loop |\n| --- | --- | --- | --- |")
    for name, runs in rates.items():
        middle = statistics.median(runs)
        figures[name] = {"records_s": middle, "events_s": middle * EVENTS_A_RECORD, "ratio": middle / base}
        print(f"| {name} | {middle:,.0f} | {middle * EVENTS_A_RECORD:,.0f} | {middle / base:.2f} |")
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
