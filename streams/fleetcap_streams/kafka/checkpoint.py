"""One checkpoint is one Kafka transaction: outputs, changed states and the consumed offset become durable together, or none.

Blocking calls only, to be made from one thread at a time and never from the event loop. It must not know engines. There is
one `Checkpointer`, and so one `transactional.id`, for each owned partition: whoever opens it last fences all others (KIP-98),
so a worker that lost the partition without noticing can no longer write anything for it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from threading import Lock
from typing import Any, Final, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from fleetcap_proto import topics
from fleetcap_streams.errors import CheckpointError, FencedError
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.partition import Checkpoint

HUNG_S: Final = 6.0  # of one call that was allowed PATIENCE_S
# Of a whole checkpoint or takeover. A client can also tell us to repeat a commit for ever. Well below the transaction's own
# timeout, after which the broker aborts it anyway; while no broker is there, a new client waits as well as the old one.
STUCK_S: Final = 20.0
# Longer than a broker takes to restart: a transaction that outlives it counts as a dead worker's.
TRANSACTION_MS = 60_000
PATIENCE_S: Final = 1.0  # of one blocking call, so that giving up is noticed; the calls can be repeated until they succeed
# The changelog's record of the offset at which its states were saved. No connection's key is like it: those are UTF-8.
POSITION: Final = b"\xffposition"
FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})  # noqa: SLF001 - librdkafka's local codes have this name


class AbortedError(Exception):
    """The transaction was aborted: what it held is not durable and has to be made again from the last checkpoint."""


class HungError(Exception):
    """The client does not come back from a call. Whether what it wrote is durable is settled by the next `Checkpointer`."""


class AbandonedError(Exception):
    """The partition was given up while a call was still being repeated."""


class Step(Enum):
    """Places in a checkpoint at which a test may let something go wrong."""

    BEGUN = "begun"
    PRODUCED = "produced"  # handed to the client, perhaps not sent
    BEFORE_OFFSETS = "before offsets"  # all records acknowledged
    BEFORE_COMMIT = "before commit"
    COMMITTED = "committed"


Fault: TypeAlias = Callable[[Step, int], None]
"""Called with the step and the partition. It may end the process, or raise `AbortedError` to have the transaction aborted."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a partition's checkpoints are written under; topics with their prefix, `prefix` is the outputs'."""

    group: str
    source: str
    changelog: str
    prefix: str = ""

    def transactional_id(self, partition: int) -> str:
        """Names the partition's producer across all workers and restarts."""
        return f"{self.group}-{self.source}-{partition}"

    def full(self, topic: str) -> str:
        """A topic's name with its prefix."""
        return self.source if topic == topics.RAW else self.prefix + topic


def group_metadata(cluster: Cluster, group: str) -> Any:
    """The group's metadata as an outsider has it: no member, no generation; fencing is by the transactional id alone."""
    consumer = Consumer(cluster.client(group_id=group))
    try:
        return consumer.consumer_group_metadata()
    finally:
        consumer.close()


class Checkpointer:
    """Writes one partition's checkpoints.

    open ─▶ write ─▶ write ─▶ … ─▶ close
              └ AbortedError: nothing of it is durable; go on with `write` once the state is rebuilt
    """

    def __init__(self, cluster: Cluster, names: Names, partition: int, metadata: Any, fault: Fault | None = None) -> None:
        self._names = names
        self._partition = partition
        self._metadata = metadata
        self._fault = fault
        self._abandoned = False
        self._busy = Lock()
        self._called_s: float | None = None  # since when the client is in a call
        self._began_s: float | None = None  # since when a checkpoint or takeover is under way
        self._producer = Producer(
            cluster.client(
                transactional_id=names.transactional_id(partition),
                transaction_timeout_ms=TRANSACTION_MS,
                compression_type="lz4",
                # A batch must be no larger than the least that any topic takes, which is Kafka's default; single records may be.
                batch_size=900_000,
                message_max_bytes=64 * 1024 * 1024,
                queue_buffering_max_messages=100_000,
                # Everything of a transaction is queued at once, so waiting for company only costs latency.
                linger_ms=1,
                # The coordinator refuses a transaction while it ends the one before, for some milliseconds.
                retry_backoff_ms=10,
            )
        )

    def open(self) -> None:
        """Fence whoever had the partition before, and wait until what it had begun is committed or aborted for good.

        Raises:
            FencedError: another worker did the same at the same time.
            AbandonedError: `abandon` was called meanwhile.
        """
        with self._under_way():
            self._persist(self._producer.init_transactions, PATIENCE_S)

    def write(self, checkpoint: Checkpoint) -> None:
        """Make a checkpoint durable.

        Raises:
            AbortedError: none of it is.
            FencedError: none of it is, and never will be: another worker has the partition.
            AbandonedError: `abandon` was called before it was known whether it is.
        """
        with self._under_way():
            try:
                self._write(checkpoint)
            except AbortedError:
                self._persist(self._producer.abort_transaction, PATIENCE_S)
                raise

    @property
    def hung(self) -> bool:
        """Whether the client is at something for much longer than it can take.

        librdkafka 2.16 can stay in send_offsets_to_transaction for good when the group's coordinator was away.
        """
        now = time.monotonic()
        called_s, began_s = self._called_s or now, self._began_s or now
        return now - called_s > HUNG_S or now - began_s > STUCK_S

    def abandon(self) -> None:
        """Let a call that is being repeated in another thread end soon."""
        self._abandoned = True

    def close(self) -> None:
        """Drop everything not sent. Blocks until a call in another thread and then the client's own threads have ended."""
        self._abandoned = True
        with self._busy:
            self._producer.purge()
            del self._producer

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        with self._busy:
            self._began_s = time.monotonic()
            try:
                yield
            finally:
                self._began_s = None

    def _write(self, checkpoint: Checkpoint) -> None:
        self._give_up_where_abandoned()
        self._persist(self._producer.begin_transaction)
        self._reach(Step.BEGUN)
        for topic, key, values, headers, timestamp_ms in checkpoint.outputs:
            self._produce(self._names.prefix + topic, key, values, timestamp_ms, headers)
        for state, saved in checkpoint.states:
            self._produce(self._names.changelog, state, (saved,))
        self._produce(self._names.changelog, POSITION, (b"%d" % checkpoint.next_offset,))
        self._reach(Step.PRODUCED)
        if self._fault is not None:
            self._producer.flush()
        self._reach(Step.BEFORE_OFFSETS)
        offset = TopicPartition(self._names.source, self._partition, checkpoint.next_offset)
        self._persist(self._producer.send_offsets_to_transaction, [offset], self._metadata, PATIENCE_S)
        self._reach(Step.BEFORE_COMMIT)
        self._persist(self._producer.commit_transaction, PATIENCE_S)
        self._reach(Step.COMMITTED)

    def _reach(self, step: Step) -> None:
        if self._fault is not None:
            self._fault(step, self._partition)

    def _produce(
        self,
        topic: str,
        key: bytes | None,
        values: Sequence[bytes | None],
        timestamp_ms: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        given: Any = list(headers) or None
        produce, partition, done = self._producer.produce, self._partition, 0
        while done < len(values):
            try:
                for value in values[done:] if done else values:
                    # By position, as names cost a third more; the two between are callbacks.
                    produce(topic, value, key, partition, None, None, timestamp_ms, given)
                    done += 1
            except BufferError:  # the queue is full; sending makes room
                self._give_up_where_abandoned()
                self._producer.poll(0.05)
            except KafkaException as error:
                raise self._classified(error) from error

    def _persist(self, call: Callable[..., object], *arguments: object) -> None:
        """Repeat a call until it succeeds, as long as repeating it is what librdkafka advises."""
        while True:
            self._give_up_where_abandoned()
            self._called_s = time.monotonic()
            try:
                call(*arguments)
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                raise self._classified(error) from error
            else:
                return
            finally:
                self._called_s = None

    def _give_up_where_abandoned(self) -> None:
        if self._abandoned:
            raise AbandonedError

    def _classified(self, exception: KafkaException) -> Exception:
        error: KafkaError = exception.args[0]
        where = f"partition {self._partition} of {self._names.source}"
        if error.code() in FENCED:
            return FencedError(
                f"{where} was taken over by another worker of group {self._names.group}; "
                "nothing is lost: start this one again, and give groups that are not to share work different names"
            )
        if error.txn_requires_abort():
            return AbortedError(error.str())
        return CheckpointError(f"cannot write a checkpoint of {where}: {error.str()}; see the broker's log, then start again")
