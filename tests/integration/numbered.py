"""Records whose events are numbered, and what stands in a topic afterwards."""

import time
from collections import defaultdict
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from fleetcap_producer.captured import Captured
from fleetcap_producer.packing import Packed, Packer
from fleetcap_proto.v1 import common_pb2, raw_pb2


def record(key: str, numbers: list[int], size: int = 20) -> Packed:
    """A record whose events have these numbers as their positions."""
    packer = Packer("node", "boot")
    connection = common_pb2.Connection(uuid=key)
    packer.add([Captured(connection, raw_pb2.EVENT_KIND_DATA, 1, position=n, payload=b"x" * size) for n in numbers], 0.0)
    (packed,) = packer.flush()
    return packed


def read_all(options: dict[str, Any], topic: str, count: int) -> list[Message]:
    """Read from the beginning until every partition's end; fails where that are not `count` records."""
    consumer = Consumer({**options, "group.id": topic, "enable.partition.eof": True, "enable.auto.commit": False, "log_level": 0})
    partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    found: list[Message] = []
    ended: set[int | None] = set()
    deadline = time.monotonic() + 60
    while len(ended) < len(partitions) and time.monotonic() < deadline:
        for message in consumer.consume(500, timeout=1):
            error = message.error()
            if error is None:
                found.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
    consumer.close()
    assert len(found) == count
    return found


def numbers(messages: list[Message]) -> dict[str, list[int]]:
    """Positions of all events by connection, in the order in which they stand in their partition."""
    found: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        batch = raw_pb2.RawBatch.FromString(message.value() or b"")
        assert message.key() == batch.connection.uuid.encode()
        found[batch.connection.uuid] += [event.position for event in batch.events]
    return dict(found)
