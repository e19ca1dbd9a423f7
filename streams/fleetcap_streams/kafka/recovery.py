"""The way back: the states and the offset of a partition's last checkpoint, read from Kafka. Blocking calls only.

It goes around Faust's own recovery, which waits for the changelog's last offset to arrive as a record: in a changelog that
is written by transactions, the last offset always is a transaction's marker and never arrives.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap_streams.errors import KafkaUnreachableError, UndecidedError
from fleetcap_streams.kafka.checkpoint import POSITION, AbandonedError, Names
from fleetcap_streams.kafka.cluster import Cluster

log = logging.getLogger("fleetcap.worker")
PATIENCE_S: Final = 1.0
BATCH: Final = 5000
POLL_S: Final = 0.05  # a batch that is not full is waited for this long, the changelog's end or not
# A committed offset that cannot be had for this long means that the group's coordinator is away; the worker's own
# membership needs the same one.
OFFSET_DEADLINE_S: Final = 120.0
# Longer than any transaction may last: whatever is open then will never be ended by its writer or by time.
UNDECIDED_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Saved:
    """A partition's last checkpoint. `next_offset` None: there never was one. `stale`: states to forget for good."""

    states: dict[bytes, bytes]
    next_offset: int | None
    stale: Collection[bytes] = ()


def read_saved(cluster: Cluster, names: Names, partition: int, abandoned: Callable[[], bool]) -> Saved:
    """Read a partition's last checkpoint; its `Checkpointer` has to be open, or it may be an older one.

    Raises:
        AbandonedError: `abandoned` returned true meanwhile.
        KafkaUnreachableError: the group's offsets cannot be read.
        UndecidedError: the changelog holds a transaction that nobody ends.
    """
    consumer = Consumer(
        cluster.client(
            group_id=names.group,  # only to read its offsets: a consumer that assigns itself never joins
            isolation_level="read_committed",  # also makes the coordinator keep back offsets of an undecided transaction
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
        committed = _committed(consumer, TopicPartition(names.source, partition), abandoned)
    finally:
        consumer.close()
    position = states.pop(POSITION, None)
    return reconciled(states, None if position is None else int(position), committed, f"partition {partition} of {names.source}")


def reconciled(states: dict[bytes, bytes], position: int | None, committed: int | None, where: str) -> Saved:
    """What to go on from, given the offset at which the states were saved and the one that the group has committed.

    One transaction writes both, so that they differ only where somebody changed the group's offsets, or they expired.
    """
    if committed is None and position is not None:
        log.warning("%s: the group's offset is gone; going on from offset %d, where the states were saved", where, position)
        return Saved(states, position)
    if committed is None or position is None or committed == position:
        return Saved(states, committed)
    if committed > position:  # to the connections it is a loss like any other
        log.warning("%s: the group's offset was moved on from %d to %d; what is between is skipped", where, position, committed)
        return Saved(states, committed)
    log.warning("%s: the group's offset was moved back from %d to %d; all connections begin anew", where, position, committed)
    return Saved({}, committed, tuple(states))


def _to_end(consumer: Consumer, changelog: TopicPartition, abandoned: Callable[[], bool]) -> Iterator[Message]:
    """Everything that is committed, once all of it is known to be: a reader may see an end too early.

    The coordinator has decided on a transaction some time before its partitions know; and a new leader knows only some time
    after its election how far its predecessor's log was committed, which it tells who asks for the end (KIP-207), but not
    who reads.
    """
    end = _end(consumer, changelog, abandoned)
    stopped_s: float | None = None  # since when the reader is at an end that is too early
    consumer.assign([changelog])
    while not abandoned():
        for message in consumer.consume(BATCH, POLL_S):
            error = message.error()
            if error is None:
                stopped_s = None
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes have this name
                _, written = consumer.get_watermark_offsets(changelog, cached=True)
                if (message.offset() or 0) >= max(end, written):
                    return
                stopped_s = time.monotonic()
            elif error.fatal():
                raise KafkaException(error)
        if stopped_s is not None and time.monotonic() - stopped_s > UNDECIDED_S:
            raise UndecidedError(
                f"partition {changelog.partition} of {changelog.topic} holds a transaction that nobody ends; "
                "find it with `kafka-transactions.sh find-hanging`, abort it, and start again"
            )
    raise AbandonedError


def _end(consumer: Consumer, changelog: TopicPartition, abandoned: Callable[[], bool]) -> int:
    deadline = time.monotonic() + OFFSET_DEADLINE_S
    while not abandoned():
        try:
            _, end = consumer.get_watermark_offsets(changelog, PATIENCE_S)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise KafkaUnreachableError(
                    f"cannot read the end of {changelog.topic}: {error.args[0].str()}; check the brokers"
                ) from error
            continue
        return end
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
