"""Fills the raw topic with a mix, and knows how many events and payload bytes stand before each offset of it."""

import itertools
from array import array

from confluent_kafka import Producer

from bench.stream.mixes import multiplied
from fleetcap_proto import topics

PARTITIONS = 4
OPEN_AT_ONCE = 400


class Filled:
    """The topic's content. `events[p][n]` and `bytes[p][n]`: before offset n of partition p."""

    def __init__(self) -> None:
        self.events = [array("q", [0]) for _ in range(PARTITIONS)]
        self.bytes = [array("q", [0]) for _ in range(PARTITIONS)]

    def add(self, partition: int, events: int, size: int) -> None:
        """One more record."""
        self.events[partition].append(self.events[partition][-1] + events)
        self.bytes[partition].append(self.bytes[partition][-1] + size)

    def before(self, offsets: list[int]) -> tuple[int, int]:
        """Events and bytes before these offsets, one a partition."""
        # Beyond what was filled in stand at most ticks, which a worker that has read all of it writes.
        places = [min(offset, end) for offset, end in zip(offsets, self.ends(), strict=True)]
        events = sum(self.events[number][place] for number, place in enumerate(places))
        return events, sum(self.bytes[number][place] for number, place in enumerate(places))

    def all_read(self, offsets: list[int]) -> bool:
        """Whether nothing that was filled in is left."""
        return all(offset >= end for offset, end in zip(offsets, self.ends(), strict=True))

    def ends(self) -> list[int]:
        """Each partition's end."""
        return [len(counts) - 1 for counts in self.events]


def fill(servers: str, mix: str, events: int) -> Filled:
    """Write records of a mix until there are so many events."""
    producer = Producer(
        {"bootstrap.servers": servers, "compression.type": "lz4", "linger.ms": 20, "message.max.bytes": 8_000_000}
    )
    filled, total = Filled(), 0
    partitions: dict[bytes, int] = {}
    numbers = itertools.count()
    for key, value, count, size in multiplied(mix, OPEN_AT_ONCE):
        partition = partitions.setdefault(key, next(numbers) % PARTITIONS)
        while True:
            try:
                producer.produce(topics.RAW, value, key, partition)
            except BufferError:
                producer.poll(0.05)
            else:
                break
        producer.poll(0)
        filled.add(partition, count, size)
        total += count
        if total >= events:
            break
    producer.flush()
    return filled
