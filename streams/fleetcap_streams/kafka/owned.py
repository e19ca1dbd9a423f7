"""The life of one owned partition: from the moment it is assigned until it is given up.

    recovering ──▶ running ──▶ released
        ▲  checkpoint │ aborted
        └─────────────┘

It joins a `Partition` with its `Checkpointer`. Reading goes on while a checkpoint is being written; when there is more
waiting than limits allow, reading waits. It must not know how partitions are assigned.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka.checkpoint import AbandonedError, AbortedError, Checkpointer, Fault, HungError, Names
from fleetcap_streams.kafka.cluster import Cluster
from fleetcap_streams.kafka.measures import Measures
from fleetcap_streams.kafka.partition import Batch, Checkpoint, Encoder, Engine, Partition, PartitionLimits
from fleetcap_streams.kafka.recovery import read_saved
from fleetcap_streams.kafka.threads import in_thread

log = logging.getLogger("fleetcap.worker")
T = TypeVar("T")

# Between two slices the event loop gets to run: heartbeats of the web server, checkpoints of other partitions.
SLICE_RECORDS: Final = 64
SLICE_BYTES: Final = 256 * 1024
WATCH_S: Final = 1.0  # how often a call that has not returned is looked at
CLOSE_S: Final = 3.0  # more than any call takes that is not hung


@dataclass(frozen=True, slots=True)
class Parts:
    """What records are put through. `fault` lets tests kill the worker at any step of a checkpoint."""

    engine: Callable[[], Engine]
    encode: Encoder
    fault: Fault | None = None
    measures: Measures = field(default_factory=Measures)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all partitions of a worker share."""

    cluster: Cluster
    names: Names
    metadata: Any
    parts: Parts
    limits: PartitionLimits
    # Move the consumer to an offset of a partition; batches taken after it carry at least the returned number of seeks.
    # None: it could not be moved.
    seek: Callable[[int, int], Awaitable[int | None]]
    failed: Callable[[BaseException], None]  # told what a checkpoint raised that is not the end of the partition's life


class OwnedPartition:
    """One partition in this worker's hands."""

    def __init__(self, number: int, around: Surroundings) -> None:
        self.number = number
        self._around = around
        self._checkpointer = self._new_checkpointer()
        self._partition: Partition | None = None
        self._ready = asyncio.Event()
        self._released = False
        self._writing: asyncio.Task[None] | None = None
        self._began_at: int | None = None  # where reading began, in case there is no checkpoint to go back to
        self.written = 0  # checkpoints
        self._durable: int | None = None  # where the last checkpoint ends
        self.looked = 0  # how often a recovery looked up from what it reads: it gets on
        self._sought: tuple[int, int] | None = None  # where we last went back to, and the number of that seek
        self._heard_s = time.monotonic()

    async def recover(self) -> int:
        """Fence the former owner and take over its last checkpoint; returns how many connections that holds.

        Raises:
            FencedError: another worker took over at the same time.
        """
        started = time.monotonic()
        try:
            await self._open()
            count = await self._restore()
        except AbandonedError:
            return 0
        self._ready.set()
        self._heard_s = time.monotonic()
        self._around.parts.measures.recovered(count, time.monotonic() - started)
        log.debug("partition %d: %d connections restored in %.1f s", self.number, count, time.monotonic() - started)
        return count

    async def feed(self, batch: Batch) -> None:
        """Put a batch through the engine. Returns early where the partition is released or rebuilt meanwhile."""
        await self._ready.wait()
        partition = self._partition
        if self._released or partition is None:
            return
        wanted = partition.wanted(batch)
        if wanted is None:
            wanted = await self._after_gap(partition, batch)
        if self._began_at is None:
            self._began_at = partition.next_offset
        for piece in _slices(wanted):
            while partition.full and self._current(partition):
                await self.checkpoint()
            if not self._current(partition):
                return
            partition.feed(piece)
            await asyncio.sleep(0)
        if self._current(partition) and wanted:
            partition.advance(batch.end)
        self._heard_s = time.monotonic()

    def start_checkpoint(self) -> asyncio.Task[None] | None:
        """Begin to write what waits, unless nothing does; returns the checkpoint being written, if any."""
        if self._writing is not None and not self._writing.done():
            return self._writing
        checkpoint = self._partition.take() if self._partition is not None and self._ready.is_set() else None
        if checkpoint is None:
            return None
        self._writing = asyncio.create_task(self._write(checkpoint))
        self._writing.add_done_callback(self._report)
        return self._writing

    async def checkpoint(self) -> None:
        """Write what waits and return when it is durable, or when the partition has been rebuilt because it cannot be."""
        writing = self.start_checkpoint()
        if writing is not None:
            await asyncio.shield(writing)

    async def release(self, patience_s: float | None) -> None:
        """Give the partition up, after a last checkpoint if that can be had within `patience_s` seconds; None: without one.

        What is not in a checkpoint is dropped: the next owner makes it again.
        """
        partition, self._partition = self._partition, None
        self._released = True
        self._ready.set()
        try:
            if patience_s is not None:
                async with asyncio.timeout(patience_s):
                    await self._last_checkpoint(partition)
        except (TimeoutError, AbortedError, HungError, AbandonedError):
            log.warning("partition %d: no last checkpoint; the next owner repeats what came after the one before", self.number)
        finally:
            self._checkpointer.abandon()
            # Also ends a takeover that is still under way; it must not come through after the next owner's.
            with contextlib.suppress(TimeoutError):  # hung: it is left behind, and fenced by whoever comes next
                async with asyncio.timeout(CLOSE_S):
                    await in_thread(self._checkpointer.close)

    def silence_s(self) -> float:
        """Seconds since the last record."""
        return time.monotonic() - self._heard_s

    def caught_up(self, end: int | None) -> bool:
        """Whether everything before `end` has been read."""
        return end is not None and self._partition is not None and (self._partition.next_offset or 0) >= end

    def done(self, end: int | None) -> bool:
        """Whether there is nothing to read, as far as is known, and nothing to write."""
        partition = self._partition
        if partition is None or not partition.idle or (self._writing is not None and not self._writing.done()):
            return False
        return end is None or (partition.next_offset or 0) >= end

    def measure(self, end: int | None, now_s: float) -> None:
        """Tell where things are; `end`: of what may be read, `now_s`: seconds since 1970, as log time is."""
        partition = self._partition
        if partition is None:
            return
        lag = max(0, (end or 0) - (partition.next_offset or 0))
        log_time_ms = partition.log_time_ms
        self._around.parts.measures.at(
            self.number,
            lag_records=lag,
            lag_s=max(0.0, now_s - log_time_ms / 1000) if lag and log_time_ms is not None else 0.0,
            connections=partition.connections,
            waiting_bytes=partition.waiting_bytes,
        )

    def tick_due(self) -> bool:
        """Whether something waits for log time that has come by now, as far as the last record's log time tells."""
        if self._partition is None or not self._ready.is_set():
            return False
        deadline_ms, log_time_ms = self._partition.next_deadline_ms(), self._partition.log_time_ms
        if deadline_ms is None:
            return False
        # Just recovered: only a record can tell how much log time has passed.
        return log_time_ms is None or log_time_ms + self.silence_s() * 1000 >= deadline_ms

    def _given_up(self) -> bool:
        self.looked += 1
        return self._released

    def _current(self, partition: Partition) -> bool:
        return partition is self._partition and not self._released

    async def _after_gap(self, partition: Partition, batch: Batch) -> Sequence[Record]:
        """Records before the batch are missing. Go back for them once; what then still is missing is gone for good."""
        expected = partition.next_offset or 0
        if self._sought is not None and self._sought[0] == expected:
            if batch.seeks < self._sought[1]:
                return ()  # fetched before we went back
            log.warning(
                "partition %d: offsets %d to %d are gone, by retention or compaction", self.number, expected, batch.start - 1
            )
            partition.advance(batch.start)
            return partition.wanted(batch) or ()
        await self._seek(expected)
        return ()

    async def _seek(self, offset: int) -> None:
        seeks = await self._around.seek(self.number, offset)
        self._sought = None if seeks is None else (offset, seeks)

    async def _write(self, checkpoint: Checkpoint) -> None:
        began = time.monotonic()
        try:
            await self._unless_hung(in_thread(self._checkpointer.write, checkpoint))
        except AbandonedError:
            return
        except HungError:
            self._partition = None  # as below
            self._around.parts.measures.not_made()
            if self._released:
                raise
            log.warning("partition %d: the Kafka client hangs; a new one goes on from the last checkpoint", self.number)
            await self._rebuild(reopen=True)
        except AbortedError as error:
            self._around.parts.measures.not_made()
            self._partition = None  # what it made after the aborted checkpoint must never be written
            if self._released:
                raise
            log.warning("partition %d: checkpoint aborted (%s); going back to the last one", self.number, error)
            await self._rebuild()
        else:
            self._note_durable(checkpoint, time.monotonic() - began)

    def _note_durable(self, checkpoint: Checkpoint, seconds: float) -> None:
        self.written += 1
        former = self._durable if self._durable is not None else self._began_at
        records = checkpoint.next_offset - (checkpoint.next_offset if former is None else former)
        self._durable = checkpoint.next_offset
        self._around.parts.measures.durable(self.number, checkpoint, records, seconds)

    def _report(self, writing: asyncio.Task[None]) -> None:
        error = None if writing.cancelled() else writing.exception()
        if error is not None and not isinstance(error, AbortedError | HungError):
            self._around.failed(error)

    async def _rebuild(self, *, reopen: bool = False) -> None:
        """Go back to the last checkpoint: state, engine and consumer."""
        self._ready.clear()
        try:
            if reopen:
                self._replace_checkpointer()
                await self._open()
            await self._restore()
            if self._partition is not None and self._partition.next_offset is not None:
                await self._seek(self._partition.next_offset)
        except AbandonedError:
            return
        finally:
            self._ready.set()

    async def _restore(self) -> int:
        saved = await in_thread(read_saved, self._around.cluster, self._around.names, self.number, self._given_up)
        engine = self._around.parts.engine()
        unreadable = 0
        for index, (key, state) in enumerate(saved.states.items()):
            try:
                engine.restore(key.decode("utf-8", "surrogateescape"), state)
            except ValueError:  # of another version, or damaged; its connection begins anew as if joined in the middle
                unreadable += 1
            if index % SLICE_RECORDS == 0:
                await asyncio.sleep(0)
        if unreadable:
            log.warning("partition %d: %d saved connections cannot be read and begin anew", self.number, unreadable)
        around = self._around
        partition = Partition(around.names.source, self.number, engine, around.parts.encode, around.limits)
        partition.begin_at(saved.next_offset if saved.next_offset is not None else self._began_at, saved.stale)
        self._durable = saved.next_offset
        if not self._released:
            self._partition = partition
        return len(saved.states)

    async def _last_checkpoint(self, partition: Partition | None) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
        checkpoint = partition.take() if partition is not None else None
        if checkpoint is not None:
            began = time.monotonic()
            await in_thread(self._checkpointer.write, checkpoint)
            self._note_durable(checkpoint, time.monotonic() - began)

    def _new_checkpointer(self) -> Checkpointer:
        around = self._around
        return Checkpointer(around.cluster, around.names, self.number, around.metadata, around.parts.fault)

    def _replace_checkpointer(self) -> None:
        """Not the same client again, even where its call has come back by now: nobody waited for what it said."""
        self._checkpointer.abandon()
        self._checkpointer = self._new_checkpointer()

    async def _open(self) -> None:
        """Fence whoever was before us, a hung client of our own included."""
        while not self._released:
            with contextlib.suppress(HungError):
                return await self._unless_hung(in_thread(self._checkpointer.open))
            self._replace_checkpointer()
        raise AbandonedError

    async def _unless_hung(self, call: Awaitable[T]) -> T:
        checkpointer, outcome = self._checkpointer, asyncio.ensure_future(call)
        while not outcome.done():
            await asyncio.wait({outcome}, timeout=WATCH_S)
            if checkpointer.hung and not outcome.done():
                outcome.cancel()
                raise HungError
        return outcome.result()


def _slices(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    begin = size = 0
    for index, record in enumerate(records):
        size += len(record.value or b"")
        if size >= SLICE_BYTES or index + 1 - begin >= SLICE_RECORDS:
            yield records[begin : index + 1]
            begin, size = index + 1, 0
    if begin < len(records):
        yield records[begin:]
