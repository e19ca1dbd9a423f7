"""The mixes: recordings of real traffic, multiplied over nodes and connections without changing a byte of what crossed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fleetcap.recording import read_recording
from fleetcap_proto.v1 import raw_pb2

FOLDER: Final = Path(__file__).parent / "mixes"
NODES: Final = 50
FIRST_PORT: Final = 1024
MANY_IDLE: Final = "many-idle"  # http1-small, after so many connections were opened that then say nothing any more
IDLE: Final = 100_000
FIRST_EVENTS: Final = 3  # an opening, a request and its response


def names() -> list[str]:
    """The mixes there are."""
    return [*sorted(path.stem for path in FOLDER.glob("*.fcap")), MANY_IDLE]


def template(mix: str) -> list[list[raw_pb2.RawBatch]]:
    """The records of each connection of a mix that was recorded whole, from its opening to its destroy."""
    connections: dict[str, list[raw_pb2.RawBatch]] = {}
    for recorded in read_recording(FOLDER / f"{mix}.fcap"):
        batch = raw_pb2.RawBatch.FromString(recorded.record.value or b"")
        if batch.connection.uuid:
            connections.setdefault(batch.connection.uuid, []).append(batch)
    return [batches for batches in connections.values() if any(event.payload for batch in batches for event in batch.events)]


class Copy:
    """One more connection that says what a recorded one said."""

    def __init__(self, batches: list[raw_pb2.RawBatch], number: int) -> None:
        self.uuid = f"node-{number % NODES}.{number}.{batches[0].connection.uuid}"
        self.key = self.uuid.encode()
        self._batches = batches
        self._number = number

    def records(self) -> Iterator[tuple[bytes, int, int]]:
        """Values of its records, in order, each with its events and its payload bytes."""
        for batch in self._batches:
            batch.node_id = f"node-{self._number % NODES}"
            batch.connection.uuid = self.uuid
            batch.connection.remote.port = FIRST_PORT + self._number % 60_000
            batch.connection.sock = 0xFFFF_8880_0000_0000 + 1024 * self._number
            yield _record(batch)

    def first(self) -> tuple[bytes, int, int]:
        """The first of them, cut behind its first exchange."""
        whole = self._batches[0]
        self._batches[0] = raw_pb2.RawBatch()
        self._batches[0].CopyFrom(whole)
        del self._batches[0].events[FIRST_EVENTS:]
        self._batches[0].event_count = FIRST_EVENTS
        record = next(self.records())
        self._batches[0] = whole
        return record


def _record(batch: raw_pb2.RawBatch) -> tuple[bytes, int, int]:
    return batch.SerializeToString(), len(batch.events), sum(len(event.payload) for event in batch.events)


def multiplied(mix: str, open_at_once: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Records without end, as key, value, events and payload bytes: so many connections take turns, and each ended one is
    followed by a new one."""
    number = 0
    if mix == MANY_IDLE:
        templates = template("http1-small")
        for number in range(1, IDLE):
            copy = Copy(templates[0], number)
            yield copy.key, *copy.first()
        number = IDLE
    else:
        templates = template(mix)

    def begin() -> tuple[bytes, Iterator[tuple[bytes, int, int]]]:
        nonlocal number
        copy = Copy(templates[number % len(templates)], number)
        number += 1
        return copy.key, copy.records()

    turns = [begin() for _ in range(open_at_once)]
    while True:
        for place, (key, records) in enumerate(turns):
            following = next(records, None)
            if following is None:
                turns[place] = begin()
            else:
                yield key, *following
