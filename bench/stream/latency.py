"""How long an event takes from the raw topic to an output that may be read, under a steady load.

    .venv/bin/python -m bench.stream.latency [--mix http1-small] [--rate 10000] [--seconds 20] [--variant NAME …]

A raw record's timestamp is the broker's when it appended it, and outputs carry it on; so the age of an output when a reader of
committed records gets it is the whole way: the engine, the checkpoint, and both fetches.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from bench.stream.mixes import multiplied, names
from bench.stream.topic import OPEN_AT_ONCE, PARTITIONS
from bench.stream.variants import VARIANTS, build
from fleetcap.broker import BrokerOptions, EmbeddedBroker
from fleetcap.topics import ensure, specs
from fleetcap_proto import topics

DEFAULT = ("fleetcap, exactly once", "Kafka Streams, exactly once")
WARM_S = 10.0
STEP_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mix", default="http1-small", choices=names())
    parser.add_argument("--rate", type=int, default=10_000, help="raw events a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS))
    options = parser.parse_args()
    chosen = options.variant or DEFAULT
    build(chosen)
    print(f"| variant, {options.rate:,} raw events/s of {options.mix} | p50 ms | p90 ms | p99 ms | most ms | outputs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in chosen:
        ages = measure(name, options.mix, options.rate, options.seconds)
        cuts = statistics.quantiles(ages, n=100)
        print(f"| {name} | {cuts[49]:.0f} | {cuts[89]:.0f} | {cuts[98]:.0f} | {max(ages):.0f} | {len(ages):,} |")


def measure(name: str, mix: str, rate: int, seconds: float) -> Sequence[float]:
    """Ages in milliseconds of the outputs that came after the run-up."""
    with (
        tempfile.TemporaryDirectory() as data,
        tempfile.TemporaryDirectory() as folder,
        EmbeddedBroker(BrokerOptions(data=Path(data), heap_mb=1024)) as broker,
    ):
        servers = broker.bootstrap_servers
        ensure({"bootstrap.servers": servers}, specs(partitions=PARTITIONS, replication=1))
        variant = VARIANTS[name]
        words = variant.command(servers, "latency", Path(folder))
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        stop = threading.Event()
        feeder = threading.Thread(target=feed, args=(servers, mix, rate, stop))
        feeder.start()
        try:
            return read(servers, WARM_S, seconds)
        finally:
            stop.set()
            feeder.join()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def feed(servers: str, mix: str, rate: int, stop: threading.Event) -> None:
    """Write the mix at a steady rate."""
    producer = Producer({"bootstrap.servers": servers, "compression.type": "lz4", "linger.ms": 5})
    partitions: dict[bytes, int] = {}
    began, sent = time.monotonic(), 0
    for key, value, events, _ in multiplied(mix, OPEN_AT_ONCE):
        producer.produce(topics.RAW, value, key, partitions.setdefault(key, len(partitions) % PARTITIONS))
        producer.poll(0)
        sent += events
        while sent > (time.monotonic() - began) * rate:
            if stop.wait(STEP_S):
                return


def read(servers: str, warm_s: float, seconds: float) -> Sequence[float]:
    """Ages of outputs as a reader of committed records sees them, from `warm_s` after the first one on."""
    options = {"bootstrap.servers": servers, "group.id": "reader", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
    consumer = Consumer(options)
    consumer.assign([TopicPartition(topics.EVENTS, number, OFFSET_END) for number in range(PARTITIONS)])
    ages: list[float] = []
    first: float | None = None
    while first is None or time.monotonic() - first < warm_s + seconds:
        found = consumer.consume(1000, 0.1)
        now_ms = time.time() * 1000
        if found and first is None:
            first = time.monotonic()
        if first is not None and time.monotonic() - first >= warm_s:
            ages.extend(now_ms - message.timestamp()[1] for message in found)
    consumer.close()
    return ages


if __name__ == "__main__":
    main()
