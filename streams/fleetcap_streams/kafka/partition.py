"""Hot state of one owned partition and what waits for its next checkpoint; no I/O and no clock of its own.

It owns the engine, knows up to which offset it has read, and refuses to read past records that are missing.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

from fleetcap_streams.engine.values import Output, Record
from fleetcap_streams.kafka.outgoing import Outgoing, Source, fit


class Engine(Protocol):
    """What a partition needs of an engine; `fleetcap_streams.engine.engine.Engine` is one."""

    def feed(self, records: Iterable[Record]) -> list[Any]:
        """Take the next records and return what they led to."""

    def changed(self) -> Iterator[tuple[str, bytes | None]]:
        """States that changed since the last call."""

    def restore(self, uuid: str, saved: bytes) -> None:
        """Take a state back."""

    def next_deadline_ms(self) -> int | None:
        """The log time at which something will happen by time alone."""

    @property
    def unreadable(self) -> int:
        """Saved states that could not be gone on from, so far."""

    def __len__(self) -> int:
        """How many connections are held."""


class OutRecords(Protocol):
    """What an encoder makes of an output; `topic` has no prefix."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def key(self) -> bytes | None: ...  # noqa: D102

    @property
    def values(self) -> Sequence[bytes]: ...  # noqa: D102

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


Encoder: TypeAlias = Callable[[Output, Source], Iterable[OutRecords]]


class Batch(NamedTuple):
    """What one fetch brought for one partition.

    `start` is the position that was fetched from and `end` the one after it: offsets between them that no record has are
    not missing but never were records (transaction markers, compacted ones). `seeks` is how often the consumer had been moved
    when the batch was taken.
    """

    partition: int
    seeks: int
    start: int
    end: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What becomes durable together; `next_offset` is where a successor goes on reading."""

    outputs: Sequence[Outgoing]
    states: Sequence[tuple[bytes, bytes | None]]
    next_offset: int
    dropped: int = 0  # states too large to be kept; such a connection does not survive a restart
    unreadable: int = 0  # saved states that could not be gone on from


@dataclass(frozen=True, slots=True)
class PartitionLimits:
    """How much may wait for a checkpoint: beyond it one is made at once, and nothing more is read until it is done."""

    bytes: int = 8 * 1024 * 1024
    records: int = 20_000  # a transaction of this many takes tenths of a second
    topics: Mapping[str, int] = field(default_factory=dict)  # max.message.bytes by topic name without prefix
    state: int = 2 * 1024 * 1024  # max.message.bytes of the changelog


class Partition:
    """One partition between two checkpoints. `next_offset` is None until it is known where reading begins."""

    def __init__(self, topic: str, number: int, engine: Engine, encode: Encoder, limits: PartitionLimits) -> None:
        self.topic = topic
        self.number = number
        self.next_offset: int | None = None
        self.log_time_ms: int | None = None  # of the last record fed
        self._engine = engine
        self._encode = encode
        self._limits = limits
        self._taken: int | None = None
        self._outputs: list[Outgoing] = []
        self._count = self._bytes = 0
        self._stale: list[bytes] = []
        self._dropped = self._unreadable = 0

    def wanted(self, batch: Batch) -> Sequence[Record] | None:
        """Those of the batch's records that come next; None where records before its first are missing."""
        if self.next_offset is None:
            self.next_offset = batch.start
        if batch.start > self.next_offset:
            return None
        return batch.records[bisect_left(batch.records, self.next_offset, key=attrgetter("offset")) :]

    def feed(self, records: Sequence[Record]) -> None:
        """Put records through the engine, each on its own, so that every output carries the log time of its own record."""
        for record in records:
            for output in self._engine.feed((record,)):
                self._put(output, record)
            self.next_offset = record.offset + 1
            self.log_time_ms = record.log_time_ms

    def advance(self, offset: int) -> None:
        """Say that there are no records before `offset`."""
        self.next_offset = max(self.next_offset or 0, offset)

    @property
    def waiting_bytes(self) -> int:
        """Of outputs that wait for a checkpoint."""
        return self._bytes

    @property
    def connections(self) -> int:
        """How many the engine holds."""
        return len(self._engine)

    @property
    def full(self) -> bool:
        """Whether a checkpoint has to come before more records."""
        return self._bytes >= self._limits.bytes or self._count >= self._limits.records

    @property
    def idle(self) -> bool:
        """Whether there is nothing to checkpoint."""
        return self.next_offset == self._taken or self.next_offset is None

    def take(self) -> Checkpoint | None:
        """Everything since the last call, or None where there is nothing; after it, more can be fed at once."""
        if self.next_offset is None or self.idle:
            return None
        self._taken = self.next_offset
        outputs, self._outputs, self._count, self._bytes = self._outputs, [], 0, 0
        self._dropped, unreadable = 0, self._engine.unreadable - self._unreadable
        self._unreadable += unreadable
        return Checkpoint(outputs, list(self._states()), self.next_offset, self._dropped, unreadable)

    def begin_at(self, offset: int | None, stale: Iterable[bytes] = ()) -> None:
        """Set where reading begins; None: wherever the consumer begins. `stale` are saved states to forget for good."""
        self.next_offset = self._taken = offset
        self._stale = list(stale)

    def next_deadline_ms(self) -> int | None:
        """The log time at which something will happen by time alone."""
        return self._engine.next_deadline_ms()

    def _put(self, output: Output, record: Record) -> None:
        source = Source(self.topic, self.number, record.offset)
        # A broker refuses times before 1970; -1 stands for none.
        timestamp_ms = max(record.log_time_ms, 0)
        for one in self._encode(output, source):
            outgoing = Outgoing(one.topic, one.key, one.values, tuple(one.headers), timestamp_ms)
            for fitting in fit(outgoing, source, self._limits.topics):
                self._outputs.append(fitting)
                self._count += len(fitting.values)
                self._bytes += fitting.size()

    def _states(self) -> Iterator[tuple[bytes, bytes | None]]:
        stale, self._stale = self._stale, []
        for key in stale:  # before all else: a connection of the same key may have begun since
            yield key, None
        for uuid, saved in self._engine.changed():
            key = uuid.encode("utf-8", "surrogateescape")
            if saved is not None and Outgoing("", key, (saved,), (), 0).size() > self._limits.state:
                self._dropped += 1
                yield key, None
            else:
                yield key, saved
