"""The way back: the states and the offset of a partition's last checkpoint, read from Kafka. Blocking calls only.

It goes around Faust's own recovery, which waits for the changelog's last offset to arrive as a record: in a changelog that
is written by transactions, the last offset always is a transaction's marker and never arrives.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap_streams.errors import KafkaUnreachableError
from fleetcap_streams.kafka.checkpoint import AbandonedError, Names
from fleetcap_streams.kafka.cluster import Cluster

PATIENCE_S: Final = 1.0
BATCH: Final = 5000
POLL_S: Final = 0.05  # a batch that is not full is waited for this long, the changelog's end or not
# A committed offset that cannot be had for this long means that the group's coordinator is away; the worker's own
# membership needs the same one.
OFFSET_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A partition's last checkpoint. `next_offset` None: there never was one."""

    states: dict[bytes, bytes]
    next_offset: int | None


def read_saved(cluster: Cluster, names: Names, partition: int, abandoned: Callable[[], bool]) -> Saved:
    """Read a partition's last checkpoint; its `Checkpointer` has to be open, or it may be an older one.

    Raises:
        AbandonedError: `abandoned` returned true meanwhile.
        KafkaUnreachableError: the group's offsets cannot be read.
    """
    consumer = Consumer(
        cluster.client(
            group_id=names.group,  # only to read its offsets: a consumer that assigns itself never joins
            isolation_level="read_committed",
            enable_auto_commit=False,
            enable_partition_eof=True,
            auto_offset_reset="earliest",
            fetch_wait_max_ms=50,
        )
    )
    try:
        states: dict[bytes, bytes] = {}
        for message in _to_end(consumer, TopicPartition(names.changelog, partition, OFFSET_BEGINNING), abandoned):
            key, value = message.key(), message.value()
            if isinstance(key, bytes) and isinstance(value, bytes):
                states[key] = value
            elif isinstance(key, bytes):
                states.pop(key, None)
        return Saved(states, _committed(consumer, TopicPartition(names.source, partition), abandoned))
    finally:
        consumer.close()


def _to_end(consumer: Consumer, changelog: TopicPartition, abandoned: Callable[[], bool]) -> Iterator[Message]:
    consumer.assign([changelog])
    while not abandoned():
        for message in consumer.consume(BATCH, POLL_S):
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes have this name
                return
            elif error.fatal():
                raise KafkaException(error)
    raise AbandonedError


def _committed(consumer: Consumer, source: TopicPartition, abandoned: Callable[[], bool]) -> int | None:
    deadline = time.monotonic() + OFFSET_DEADLINE_S
    while not abandoned():
        try:
            (found,) = consumer.committed([source], PATIENCE_S)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise KafkaUnreachableError(
                    f"cannot read the committed offset of {source.topic}: {error.args[0].str()}; check the brokers"
                ) from error
            continue
        if found.error is None:
            return found.offset if found.offset >= 0 else None
    raise AbandonedError
