"""Records on their way out, made to fit their topics; no I/O.

A record that its topic would refuse fails the whole transaction, again and again. So what does not fit goes to the
dead-letter topic instead, cut to what that takes, with the reason in its headers.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from fleetcap_proto import topics

DEFAULT_LIMIT: Final = 1_048_588  # Kafka's own default of max.message.bytes
# A record's share of a batch: 61 bytes of the batch's head, at most 5 varints, 10 bytes of timestamp and offset deltas, and
# as much again for what a future record format may add.
OVERHEAD: Final = 256


class Source(NamedTuple):
    """The record of the raw topic that led to an output."""

    topic: str
    partition: int
    offset: int

    def key(self) -> bytes:
        """The key of a dead letter."""
        return f"{self.topic}-{self.partition}-{self.offset}".encode()


class Outgoing(NamedTuple):
    """Records to produce, alike but for their values. `timestamp_ms` 0: the client's clock."""

    topic: str
    key: bytes | None
    values: Sequence[bytes]
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int

    def size(self) -> int:
        """At most this many bytes on the wire, each alone in a batch and not compressed."""
        return self.overhead() * len(self.values) + sum(map(len, self.values))

    def overhead(self) -> int:
        """What a record takes at most besides its value."""
        size = len(self.key or b"") + OVERHEAD
        for name, value in self.headers:
            size += len(name) + len(value) + 10
        return size


def fit(records: Outgoing, source: Source, limits: Mapping[str, int]) -> list[Outgoing]:
    """The records, or for each that is larger than its topic takes the dead letter that stands for it.

    `limits` are bytes by topic name, without prefix; Kafka's default where a topic is not in it.
    """
    limit = limits.get(records.topic, DEFAULT_LIMIT)
    if max(map(len, records.values), default=0) + records.overhead() <= limit:
        return [records]
    singles = (records._replace(values=(value,)) for value in records.values)
    return [one if one.size() <= limit else _dead_letter(one, limit, source, limits) for one in singles]


def _dead_letter(record: Outgoing, limit: int, source: Source, limits: Mapping[str, int]) -> Outgoing:
    (value,) = record.values
    headers = (
        *(record.headers if record.topic == topics.DEADLETTER else ()),
        ("fleetcap-too-large", f"{len(value)} bytes for {record.topic}, which takes {limit}".encode()),
    )
    empty = Outgoing(topics.DEADLETTER, source.key(), (b"",), headers, record.timestamp_ms)
    room = max(0, limits.get(topics.DEADLETTER, DEFAULT_LIMIT) - empty.size())
    return empty._replace(values=(value[:room],))
