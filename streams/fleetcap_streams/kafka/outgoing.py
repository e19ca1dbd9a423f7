"""Records on their way out, made to fit their topics; no I/O.

A record that its topic would refuse fails the whole transaction, again and again. So what does not fit goes to the
dead-letter topic instead, cut to what that takes, with the reason in its headers.
"""

from collections.abc import Mapping
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
    """A record to produce. `timestamp_ms` 0: the client's clock."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int

    def size(self) -> int:
        """At most this many bytes on the wire, alone in a batch and not compressed."""
        size = len(self.key or b"") + len(self.value or b"") + OVERHEAD
        for name, value in self.headers:
            size += len(name) + len(value) + 10
        return size


def fit(record: Outgoing, source: Source, limits: Mapping[str, int]) -> Outgoing:
    """The record, or the dead letter that stands for it where it is larger than its topic takes.

    `limits` are bytes by topic name, without prefix; Kafka's default where a topic is not in it.
    """
    size, limit = record.size(), limits.get(record.topic, DEFAULT_LIMIT)
    if size <= limit:
        return record
    value = record.value or b""
    headers = (
        *(record.headers if record.topic == topics.DEADLETTER else ()),
        ("fleetcap-too-large", f"{len(value)} bytes for {record.topic}, which takes {limit}".encode()),
    )
    empty = Outgoing(topics.DEADLETTER, source.key(), b"", headers, record.timestamp_ms)
    room = max(0, limits.get(topics.DEADLETTER, DEFAULT_LIMIT) - empty.size())
    return empty._replace(value=value[:room])
