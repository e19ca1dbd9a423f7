"""The two plain confluent-kafka loops, as processes of their own: bytes passed through, and our engine at least once.

python -m bench.stream.plain pass-through|no-framework SERVERS GROUP
"""

import sys
import time
from collections.abc import Callable

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from bench.stream.topic import PARTITIONS
from fleetcap_proto import topics
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import Record
from fleetcap_streams.fast.loading import shortcut
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

COMMIT_S = 0.2  # as often as the worker's checkpoints

Work = Callable[[Message, int], None]


def main() -> None:
    kind, servers, group = sys.argv[1:]
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 5,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 256 * 1024,
            "message.max.bytes": 8_000_000,
        }
    )
    run(servers, group, producer, passing(producer) if kind == "pass-through" else decoding(producer))


def run(servers: str, group: str, producer: Producer, work: Work) -> None:
    """Consume, work, and commit now and then what is written. Ends when it is killed."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(topics.RAW, number, 0) for number in range(PARTITIONS)])
    committed, new = time.monotonic(), False
    while True:
        for message in consumer.consume(1000, 0.1):
            work(message, message.partition() or 0)
            new = True
        producer.poll(0)
        if new and time.monotonic() - committed > COMMIT_S:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed, new = time.monotonic(), False


def passing(producer: Producer) -> Work:
    """The record as it is, to an output topic."""

    def work(message: Message, partition: int) -> None:
        produce(producer, topics.EVENTS, message.value(), message.key(), partition)

    return work


def decoding(producer: Producer) -> Work:
    """The worker's engine and outputs, with no states and no transactions."""
    limits = EngineLimits()
    engines = [Engine(default_registry(), limits, shortcut(limits)) for _ in range(PARTITIONS)]
    encode = Encoder()

    def work(message: Message, partition: int) -> None:
        record = Record(message.offset() or 0, message.key(), message.value(), message.timestamp()[1])
        source = TopicPartition(topics.RAW, partition, record.offset)
        for output in engines[partition].feed((record,)):
            for alike in encode(output, source):
                for value in alike.values:
                    produce(producer, alike.topic, value, alike.key, partition)

    return work


def produce(producer: Producer, topic: str, value: bytes | None, key: bytes | None, partition: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition)
        except BufferError:
            producer.poll(0.05)
        else:
            return


if __name__ == "__main__":
    main()
