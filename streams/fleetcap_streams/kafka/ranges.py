"""Which part of a topic is meant by `--from` and `--to`: texts into offsets of each partition."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fleetcap_streams.errors import ConfigurationError, KafkaUnreachableError

TIMEOUT_S: Final = 20.0
BEGINNING, END = "beginning", "end"
ALLOWED: Final = "beginning, end, an offset, a time as 2026-01-31T12:00:00Z, or one relative to now as -15m"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Bounds: TypeAlias = Mapping[int, tuple[int, int]]
"""By partition: the first offset, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of a range: an offset, a time in Unix milliseconds, or one of the topic's own ends."""

    offset: int | None = None
    time_ms: int | None = None
    end: bool = False


def parse_edge(text: str, now: Callable[[], datetime]) -> Edge:
    """Understand what was given; a time without a zone is UTC.

    Raises:
        ConfigurationError: it is nothing of `ALLOWED`.
    """
    if text == BEGINNING:
        return Edge()
    if text in (END, "latest"):
        return Edge(end=True)
    if text.isascii() and text.isdecimal():
        return Edge(offset=int(text))
    relative = re.fullmatch(r"-(\d{1,9})([smhd])", text)
    try:
        ago = timedelta(seconds=int(relative[1]) * _UNITS[relative[2]]) if relative else None
        at = datetime.fromisoformat(text) if ago is None else now() - ago
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{text!r} is no place in a topic; give {ALLOWED}") from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return Edge(time_ms=int(at.timestamp() * 1000))


def resolve(consumer: Consumer, topic: str, partitions: int, start: Edge, end: Edge) -> dict[int, tuple[int, int]]:
    """The offsets that a range has in each partition, cut to what the topic holds.

    Raises:
        KafkaUnreachableError: the brokers do not answer.
    """
    try:
        held = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)
            for number in range(partitions)
        }
        first = _offsets(consumer, topic, held, start)
        last = _offsets(consumer, topic, held, end)
    except KafkaException as error:
        raise KafkaUnreachableError(
            f"cannot read where {topic} begins and ends: {error.args[0].str()}; check the brokers"
        ) from error
    return {number: (first[number], max(first[number], last[number])) for number in held}


def _offsets(consumer: Consumer, topic: str, held: Mapping[int, tuple[int, int]], edge: Edge) -> dict[int, int]:
    if edge.end:
        return {number: high for number, (_, high) in held.items()}
    if edge.time_ms is None:
        return {number: min(max(edge.offset or 0, low), high) for number, (low, high) in held.items()}
    found = consumer.offsets_for_times([TopicPartition(topic, number, edge.time_ms) for number in held], timeout=TIMEOUT_S)
    # No record is as late as that: the range begins, or ends, at the topic's end.
    return {one.partition: one.offset if one.offset >= 0 else held[one.partition][1] for one in found}
