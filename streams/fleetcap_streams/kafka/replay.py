"""The engine over a past range of the raw topic, into output topics of its own: exactly once, and resumable at any moment.

It needs no group membership: one process does all partitions. Checkpoints, recovery and states are the worker's own, under
another group's name. The range is written down with the first checkpoint, so that a replay that is resumed ends where it was
meant to, however far the topic has grown since. Blocking; it must not know what an engine does.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap_streams.engine.values import Record
from fleetcap_streams.errors import CheckpointError, ConfigurationError
from fleetcap_streams.kafka.checkpoint import AbandonedError, AbortedError, Checkpointer, Names, group_metadata
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.owned import Parts
from fleetcap_streams.kafka.partition import Checkpoint, Partition, PartitionLimits
from fleetcap_streams.kafka.ranges import Bounds
from fleetcap_streams.kafka.recovery import read_saved
from fleetcap_streams.kafka.ticks import TICK

# The changelog's record of the range. No connection's key is like it: those are UTF-8.
RANGE: Final = b"\xffrange"
CHECKPOINT_S: Final = 0.5
BATCH: Final = 2000
SLICE: Final = 256  # records fed to one partition before the next one's turn
WAITING: Final = 8000  # records of one partition that wait for their time; more are not fetched
POLL_S: Final = 0.05
RETRIES: Final = 20  # of going back to the last checkpoints, without one new checkpoint in between


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay. `name` is what the user asked for, to tell a resumed replay from another one into the same topics.

    `speed` 0: as fast as possible; otherwise times recorded time. Records that `wanted` refuses move log time on and do nothing.
    """

    bounds: Bounds
    name: str
    speed: float = 0.0
    wanted: Callable[[Record], bool] | None = None


@dataclass(slots=True)
class Progress:
    """Records of the range, done and in all; counted by offsets, so that markers and gaps count too."""

    done: int = 0
    total: int = 0
    resumed: bool = False
    outputs: int = 0


@dataclass(slots=True)
class _One:
    """A partition of the replay."""

    number: int
    end: int
    partition: Partition
    checkpointer: Checkpointer
    waiting: deque[Record] = field(default_factory=deque)
    read: bool = False  # nothing of the range is still to be fetched
    paused: bool = False
    writing: Future[None] | None = None
    durable: int = 0

    @property
    def over(self) -> bool:
        return self.read and not self.waiting and self.durable >= self.end


class Replay:
    """Made anew from what is durable whenever a transaction is aborted."""

    def __init__(self, cluster: Cluster, names: Names, parts: Parts, limits: PartitionLimits, plan: Plan) -> None:
        self._cluster, self._names, self._parts, self._limits, self._plan = cluster, names, parts, limits, plan
        self._stop = False
        self._began: tuple[float, int] | None = None  # a moment of our clock and the log time that belongs to it
        self.progress = Progress()

    def stop(self) -> None:
        """Make `run` return soon, after last checkpoints; from a signal's handler or another thread."""
        self._stop = True

    def run(self, tell: Callable[[Progress], None]) -> bool:
        """Replay to the range's end, calling `tell` several times a second; returns whether the end was reached.

        Raises:
            WorkerError: another replay writes to the same topics, or Kafka is away for too long.
        """
        failures, durable = 0, -1
        while True:
            try:
                with ExitStack() as undo:
                    return self._attempt(undo, tell)
            except AbortedError as error:
                if self._stop:
                    return False
                failures = 0 if self.progress.done > durable else failures + 1
                durable = self.progress.done
                if failures > RETRIES:
                    raise CheckpointError(
                        f"the replay does not get on: {error}; check the brokers, then start it again"
                    ) from error

    def _attempt(self, undo: ExitStack, tell: Callable[[Progress], None]) -> bool:
        pool = ThreadPoolExecutor(len(self._plan.bounds) or 1, thread_name_prefix="replay")
        undo.callback(pool.shutdown, wait=False, cancel_futures=True)  # a client that hangs would be waited for
        metadata = group_metadata(self._cluster, self._names.group)
        ones = {one.number: one for one in pool.map(lambda number: self._open(number, metadata), sorted(self._plan.bounds))}
        for one in ones.values():
            undo.callback(one.checkpointer.abandon)
        consumer = Consumer(
            self._cluster.client(
                group_id=self._names.group,
                enable_auto_commit=False,
                enable_partition_eof=True,
                isolation_level="read_committed",
                auto_offset_reset="earliest",
                queued_max_messages_kbytes=16 * 1024,
            )
        )
        undo.callback(consumer.close)
        unread = [one for one in ones.values() if not one.read]
        consumer.assign([TopicPartition(self._names.source, one.number, one.partition.next_offset or 0) for one in unread])
        fed, due = False, time.monotonic() + CHECKPOINT_S
        while not self._stop and not all(one.over for one in ones.values()):
            self._fetch(consumer, ones, 0.0 if fed else POLL_S)
            fed = self._feed(ones.values())
            all_due = time.monotonic() >= due
            for one in ones.values():
                if all_due or one.partition.full:
                    self._checkpoint(pool, one)
            if all_due:
                due = time.monotonic() + (CHECKPOINT_S if fed else POLL_S)
                self._count(ones.values())
                tell(self.progress)
        for _ in range(2):  # what is being written, and what has come since
            for one in ones.values():
                self._settle(one)
                self._checkpoint(pool, one)
        for one in ones.values():
            self._settle(one)
        self._count(ones.values())
        tell(self.progress)
        return all(one.over for one in ones.values())

    def _open(self, number: int, metadata: Any) -> _One:
        checkpointer = Checkpointer(self._cluster, self._names, number, metadata, self._parts.fault)
        try:
            checkpointer.open()
            saved = read_saved(self._cluster, self._names, number, lambda: self._stop)
        except AbandonedError:
            raise AbortedError("asked to stop") from None
        first, end = self._plan.bounds[number]
        noted = saved.states.pop(RANGE, None)
        if noted is not None:
            first, end = self._resumed(noted, number)
        engine = self._parts.engine()
        for key, state in saved.states.items():
            with suppress(ValueError):  # of another version: its connection begins anew, as in a worker
                engine.restore(key.decode("utf-8", "surrogateescape"), state)
        partition = Partition(self._names.source, number, engine, self._parts.encode, self._limits)
        begin = first if saved.next_offset is None else max(first, saved.next_offset)
        partition.begin_at(begin, saved.stale)
        if noted is None:
            note = json.dumps({"name": self._plan.name, "first": first, "end": end}).encode()
            checkpointer.write(Checkpoint((), [(RANGE, note)], begin))
        else:
            self.progress.resumed = True
        return _One(number, end, partition, checkpointer, read=begin >= end, durable=begin)

    def _resumed(self, noted: bytes, number: int) -> tuple[int, int]:
        found = json.loads(noted)
        if found["name"] != self._plan.name:
            raise ConfigurationError(
                f"the topics with prefix {self._names.prefix!r} hold another replay ({found['name']}, partition {number}); "
                "give another --into, or repeat that one's options to go on with it"
            )
        return int(found["first"]), int(found["end"])

    def _fetch(self, consumer: Consumer, ones: Mapping[int, _One], patience_s: float) -> None:
        for one in ones.values():
            full = len(one.waiting) >= WAITING
            if full != one.paused and not one.read:
                one.paused = full
                (consumer.pause if full else consumer.resume)([TopicPartition(self._names.source, one.number)])
        for message in consumer.consume(BATCH, patience_s):
            self._take(consumer, ones[message.partition() or 0], message)

    def _take(self, consumer: Consumer, one: _One, message: Message) -> None:
        error, offset = message.error(), message.offset() or 0
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes have this name
            if error.fatal():
                raise KafkaException(error)
            return
        if error is None and offset < one.end and not one.read:
            key, value, (_, log_time_ms) = message.key(), message.value(), message.timestamp()
            one.waiting.append(Record(offset, _bytes(key), _bytes(value), max(log_time_ms, 0)))
            offset += 1
        if offset >= one.end and not one.read:
            one.read = True
            consumer.pause([TopicPartition(self._names.source, one.number)])

    def _feed(self, ones: Iterable[_One]) -> bool:
        fed = False
        for one in ones:
            count = 0 if one.partition.full else self._ripe(one.waiting)
            if count:
                fed = True
                one.partition.feed([self._only_wanted(one.waiting.popleft()) for _ in range(count)])
            if one.read and not one.waiting:
                one.partition.advance(one.end)
        return fed

    def _ripe(self, waiting: deque[Record]) -> int:
        """How many of the next records may be fed by now."""
        if not self._plan.speed or not waiting:
            return min(len(waiting), SLICE)
        if self._began is None:
            self._began = time.monotonic(), waiting[0].log_time_ms
        moment, log_time_ms = self._began
        now_ms = log_time_ms + (time.monotonic() - moment) * 1000 * self._plan.speed
        return sum(record.log_time_ms <= now_ms for record in islice(waiting, SLICE))

    def _only_wanted(self, record: Record) -> Record:
        if self._plan.wanted is None or self._plan.wanted(record):
            return record
        return Record(record.offset, None, TICK, record.log_time_ms)

    def _checkpoint(self, pool: ThreadPoolExecutor, one: _One) -> None:
        """Begin to write what waits, once what was being written is durable."""
        if one.writing is not None and not one.writing.done():
            if one.checkpointer.hung:
                raise AbortedError("the Kafka client hangs")
            return
        self._settle(one)
        checkpoint = one.partition.take()
        if checkpoint is not None:
            self.progress.outputs += sum(len(alike.values) for alike in checkpoint.outputs)
            one.writing = pool.submit(_write, one, checkpoint)

    def _settle(self, one: _One) -> None:
        if one.writing is not None:
            writing, one.writing = one.writing, None
            writing.result()

    def _count(self, ones: Iterable[_One]) -> None:
        self.progress.total = self.progress.done = 0
        for one in ones:
            first = self._plan.bounds[one.number][0]
            self.progress.total += max(0, one.end - first)
            self.progress.done += max(0, min(one.durable, one.end) - first)


def _write(one: _One, checkpoint: Checkpoint) -> None:
    one.checkpointer.write(checkpoint)
    one.durable = checkpoint.next_offset


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
