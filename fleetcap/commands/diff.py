"""`fleetcap diff`: two sets of output topics, compared key by key; what differs is told by place and field, never by contents."""

import sys
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

from confluent_kafka import Message
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Schema

from fleetcap.consuming import Reading, read_batches
from fleetcap.settings import Settings
from fleetcap_proto import topics
from fleetcap_proto.v1 import activity_pb2, connection_pb2, event_pb2, exchange_pb2, secrets_pb2

NAMES: Final = {
    "exchanges": topics.EXCHANGES,
    "events": topics.EVENTS,
    "connections": topics.CONNECTIONS,
    "activity": topics.ACTIVITY,
    "secrets": topics.SECRETS,
    "deadletter": topics.DEADLETTER,
}
_SCHEMAS: Final[dict[str, type[Schema]]] = {
    topics.EXCHANGES: exchange_pb2.Exchange,
    topics.EVENTS: event_pb2.LogEntry,
    topics.CONNECTIONS: connection_pb2.ConnectionRecord,
    topics.ACTIVITY: activity_pb2.Activity,
    topics.SECRETS: secrets_pb2.KeyLogEntry,
}
EXAMPLES: Final = 10


class Seen(NamedTuple):
    """A record of one side. Where it stands does not count, but helps to find it."""

    offset: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    def same(self, other: "Seen") -> bool:
        """Whether it says the same."""
        return self.value == other.value and self.headers == other.headers


@dataclass(slots=True)
class Compared:
    """One topic: how many records there are on both sides, how many keys differ, and the first of them in words."""

    topic: str
    records: list[int] = field(default_factory=lambda: [0, 0])
    same: int = 0
    changed: int = 0
    only: list[int] = field(default_factory=lambda: [0, 0])
    examples: list[str] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether the two sides do."""
        return bool(self.changed or any(self.only))


def run(settings: Settings, first: str, second: str, names: Sequence[str]) -> int:
    """Compare, print a table and the first differences; returns 1 where there are any."""
    results = [compare(settings, NAMES[name], (first, second)) for name in names]
    sets = tuple(prefix or "(none)" for prefix in (first, second))
    rows: list[tuple[str, ...]] = [("topic", "records", "", "same", "changed", "only in", "only in"), ("", *sets, "", "", *sets)]
    rows += [(one.topic, *map(str, (*one.records, one.same, one.changed, *one.only))) for one in results]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        texts = [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        sys.stdout.write("  ".join(texts).rstrip() + "\n")
    for example in [line for one in results for line in one.examples][:EXAMPLES]:
        sys.stdout.write(f"{example}\n")
    differs = any(one.differs for one in results)
    sys.stdout.write("different\n" if differs else "the same\n")
    return 1 if differs else 0


def compare(settings: Settings, topic: str, prefixes: tuple[str, str]) -> Compared:
    """Compare one topic of both sets up to their present ends: for each key, the same records in the same order.

    The two are read side by side, and what is equal is dropped at once, so that memory holds what differs and no more.

    Raises:
        ConsumingError: Kafka cannot be reached, or a topic is missing.
    """
    result = Compared(topic)
    waiting: dict[tuple[int, bytes], tuple[deque[Seen], deque[Seen]]] = defaultdict(lambda: (deque(), deque()))
    for side, message in _both(settings, [prefix + topic for prefix in prefixes]):
        result.records[side] += 1
        place = message.partition() or 0, _bytes(message.key())
        sides = waiting[place]
        sides[side].append(_seen(message))
        # Only a pair tells; a side that is ahead waits for the other.
        while sides[0] and sides[1] and sides[0][0].same(sides[1][0]):
            sides[0].popleft()
            sides[1].popleft()
            result.same += 1
        if not sides[0] and not sides[1]:
            del waiting[place]
    for (partition, key), sides in sorted(waiting.items()):
        where = f"{topic} {partition} {key.decode('utf-8', 'backslashreplace')[:120]}"
        _count(result, where, (list(sides[0]), list(sides[1])))
    return result


def _both(settings: Settings, names: list[str]) -> Iterator[tuple[int, Message]]:
    for batch in read_batches(settings, Reading(names, beginning=True, follow=False)):
        for message in batch:
            yield names.index(message.topic() or ""), message


def _seen(message: Message) -> Seen:
    headers: Any = message.headers() or []
    return Seen(message.offset() or 0, _bytes(message.value()), tuple(headers))


def _count(result: Compared, where: str, sides: tuple[Sequence[Seen], Sequence[Seen]]) -> None:
    """What is left of a key, laid side by side so that one record too many is one difference and no more."""
    first, second = ([(seen.value, seen.headers) for seen in side] for side in sides)
    matcher = SequenceMatcher(None, first, second, autojunk=False)
    for kind, a, a_end, b, b_end in matcher.get_opcodes():
        if kind == "equal":
            result.same += a_end - a
            continue
        both = min(a_end - a, b_end - b)
        for one, other in zip(sides[0][a : a + both], sides[1][b : b + both], strict=True):
            result.changed += 1
            fields = ", ".join(_fields(result.topic, one, other)) or "their bytes"
            _tell(result, f"{where}: offsets {one.offset} and {other.offset} differ in {fields}")
        _lone(result, where, 0, sides[0][a + both : a_end])
        _lone(result, where, 1, sides[1][b + both : b_end])


def _lone(result: Compared, where: str, side: int, records: Sequence[Seen]) -> None:
    if records:
        result.only[side] += len(records)
        count = f"{len(records)} record{'s' if len(records) > 1 else ''}"
        _tell(result, f"{where}: {count} only in the {('first', 'second')[side]} set, from offset {records[0].offset} on")


def _tell(result: Compared, example: str) -> None:
    if len(result.examples) < EXAMPLES:
        result.examples.append(example)


def _fields(topic: str, one: Seen, other: Seen) -> list[str]:
    """Paths of the fields that differ."""
    paths = [] if one.headers == other.headers else ["headers"]
    schema = _SCHEMAS.get(topic)
    if schema is None:
        return paths if one.value == other.value else [*paths, "value"]
    try:
        decoded = [MessageToDict(schema.FromString(seen.value)) for seen in (one, other)]
    except DecodeError:
        return [*paths, "value"]
    return paths + list(_paths(decoded[0], decoded[1]))


def _paths(one: object, other: object, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _paths(one.get(name), other.get(name), f"{path}.{name}" if path else str(name))
    elif one != other:
        yield path


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
