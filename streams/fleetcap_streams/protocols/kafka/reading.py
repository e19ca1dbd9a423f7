"""Reads bodies by their plan and collects what is told of them. Bytes that are missing or wrong end the reading, no more."""

from typing import Final

from fleetcap_streams.protocols.kafka import records
from fleetcap_streams.protocols.kafka.layout import Kind, Plan, Step

MOST_TOPICS: Final = 4096  # whose names are collected from one body; all are counted
MOST_LEFT: Final = 4  # bytes behind a request that may be one all the same: librdkafka leaves 3 when it asks for all topics
_UUID: Final = 16
_NO_ID: Final = bytes(_UUID)
_VARINT: Final = 5  # bytes of an unsigned varint of 32 bits


class ShortError(Exception):
    """The bytes end before the body does."""


class MalformedError(Exception):
    """The bytes are not what the plan says."""


class Found:
    """What a body says. `topics` are names and ids as far as they are there, each pair of one topic."""

    __slots__ = (
        "acks",
        "all_topics",
        "error",
        "errors",
        "group",
        "partitions",
        "records",
        "records_sure",
        "records_there",
        "topic_count",
        "topics",
    )

    def __init__(self) -> None:
        self.topics: list[tuple[bytes, bytes]] = []
        self.topic_count: int | None = None
        self.all_topics = False
        self.partitions = 0
        self.records = 0
        self.records_there = False
        self.records_sure = True
        self.acks: int | None = None
        self.error = 0  # the first that is not 0
        self.errors = 0  # how many are not
        self.group = b""


class Reader:
    """Goes through bytes that begin a body. `size` is where the body ends, which may be behind those that are there."""

    __slots__ = ("_at", "_data", "_flexible", "_size", "found")

    def __init__(self, data: bytes, at: int, size: int, *, flexible: bool) -> None:
        self.found = Found()
        self._data = data
        self._at = at
        self._size = size
        self._flexible = flexible

    def read(self, plan: Plan) -> None:
        """Read all that the plan has.

        Raises:
            ShortError: not all of it is there. What was found until then holds.
            MalformedError: the same, but it is not what was expected.
        """
        self._steps(plan.steps)

    @property
    def left(self) -> int:
        """Bytes of the body behind what was read."""
        return self._size - self._at

    def tags(self) -> int:
        """Pass over tagged fields (KIP-482) and tell where they end."""
        for _ in range(self._varint()):
            self._varint()
            self._skip(self._varint())
        return self._at

    def _steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if step.kind is Kind.FIXED:
                self._skip(step.size)
            elif step.of:
                self._array(step)
            else:
                self._field(step.kind)

    def _field(self, kind: Kind) -> None:
        match kind:
            case Kind.TAGS:
                self.tags()
            case Kind.TEXT:
                self._text()
            case Kind.INTS:
                self._skip(4 * max(self._count(), 0))
            case Kind.RECORDS:
                self._records()
            case Kind.ERROR:
                self._error()
            case Kind.ACKS:
                self.found.acks = self._int16()
            case Kind.GROUP:
                self.found.group = self._text()
            case _:
                self._topic(kind)

    def _error(self) -> None:
        code = self._int16()
        if code:
            self.found.errors += 1
            self.found.error = self.found.error or code

    def _topic(self, kind: Kind) -> None:
        name = topic = b""
        if kind in (Kind.TOPIC, Kind.TOPIC_AND_ID):
            name = self._text()
        if kind is not Kind.TOPIC:
            topic = self._take(_UUID)
        if kind is Kind.ID_AND_TOPIC:
            name = self._text()
        if len(self.found.topics) < MOST_TOPICS:
            self.found.topics.append((name, b"" if topic == _NO_ID else topic))

    def _array(self, step: Step) -> None:
        count = self._count()
        if step.kind is Kind.TOPICS:
            self.found.topic_count = max(count, 0)
            self.found.all_topics = count < 0
        elif step.kind is Kind.PARTITIONS:
            self.found.partitions += max(count, 0)
        if len(step.of) == 1 and step.of[0].kind is Kind.FIXED:
            self._skip(step.of[0].size * max(count, 0))
            return
        for _ in range(count):
            self._steps(step.of)

    def _records(self) -> None:
        size = self._length()
        if size <= 0:
            return
        end = self._at + size
        if end > self._size:
            raise MalformedError
        counted = records.count(self._data, self._at, min(end, len(self._data)))
        self.found.records += counted.records
        self.found.records_there = True
        self.found.records_sure = self.found.records_sure and counted.sure
        self._skip(size)

    def _text(self) -> bytes:
        size = self._varint() - 1 if self._flexible else self._int16()
        return self._take(size) if size > 0 else b""

    def _length(self) -> int:
        return self._varint() - 1 if self._flexible else int.from_bytes(self._take(4), "big", signed=True)

    def _count(self) -> int:
        """Of an array's elements, each of which has a byte at least; -1: there is no array."""
        count = self._length()
        if count < -1 or count > self._size - self._at:
            raise MalformedError
        return count

    def _int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def _take(self, size: int) -> bytes:
        at = self._at
        self._skip(size)
        return self._data[at : self._at]

    def _skip(self, size: int) -> None:
        at = self._at + size
        if at > self._size:
            raise MalformedError
        if at > len(self._data):
            raise ShortError
        self._at = at

    def _varint(self) -> int:
        first = self._take(1)[0]
        if first < 0x80:
            return first
        self._at -= 1
        value = 0
        for shift in range(0, 7 * _VARINT, 7):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise MalformedError
