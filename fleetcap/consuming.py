"""Reads whole topics for commands that look on: all partitions, no group, committed records only."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap.settings import Settings

_TIMEOUT_S = 5.0
_BATCH = 1000
_UNDECIDED_S = 60.0  # a worker's transaction lasts no longer
_SILENCE_S = 30.0  # of a broker that still has records for us: it is gone


class ConsumingError(Exception):
    """Topics cannot be read. One line: which, why, what to do."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What to read: from the `beginning` or from now on; `follow`: go on for ever, else stop at the present end."""

    topics: Sequence[str]
    beginning: bool
    follow: bool
    idle_s: float | None = None  # with follow: stop after this long without a record


def read_topics(settings: Settings, reading: Reading) -> Iterator[Message]:
    """Records of the topics in order within each partition.

    Raises:
        ConsumingError: as `read_batches`.
    """
    for batch in read_batches(settings, reading):
        yield from batch


def read_batches(settings: Settings, reading: Reading) -> Iterator[list[Message]]:
    """The same as they come, several at once; an empty list several times a second while nothing does.

    Raises:
        ConsumingError: Kafka cannot be reached, an option is wrong, or a topic is missing.
    """
    with closing(_consumer(settings)) as consumer:
        partitions = _partitions(consumer, settings, reading.topics)
        offset = OFFSET_BEGINNING if reading.beginning else OFFSET_END
        open_ends = {(one.topic, one.partition) for one in partitions}
        consumer.assign([TopicPartition(one.topic, one.partition, offset) for one in partitions])
        silent_s = 0.0
        while reading.follow or open_ends:
            messages = consumer.consume(_BATCH, timeout=0.2)
            silent_s = 0.0 if messages else silent_s + 0.2
            yield [message for message in messages if message.error() is None]
            for message in messages:
                error = message.error()
                if error is None:
                    continue
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes have this name
                    if not reading.follow and not _decided(consumer, message):
                        silent_s = -_UNDECIDED_S
                        continue
                    open_ends.discard((message.topic(), message.partition()))
                elif error.fatal():
                    raise ConsumingError(f"reading {message.topic()} failed: {error.str()}; check the brokers")
            if not reading.follow and open_ends and silent_s > _SILENCE_S:
                raise ConsumingError(f"Kafka at {settings.bootstrap_servers} has gone silent in mid-topic; check the brokers")
            if reading.idle_s is not None and not open_ends and silent_s >= reading.idle_s:
                return


def _decided(consumer: Consumer, end: Message) -> bool:
    """Whether a reader of committed records is at the log's end, and not before a transaction that is not yet decided."""
    place = TopicPartition(end.topic() or "", end.partition() or 0)
    watermarks = consumer.get_watermark_offsets(place, cached=True)
    return watermarks is None or (end.offset() or 0) >= watermarks[1]


class Held(NamedTuple):
    """What a topic holds; `records` counts the markers of transactions with them."""

    partitions: int
    records: int


def held(settings: Settings, names: Sequence[str]) -> dict[str, Held]:
    """What those of the topics hold that are there.

    Raises:
        ConsumingError: Kafka cannot be reached, or an option is wrong.
    """
    with closing(_consumer(settings)) as consumer:
        found = _topics(consumer, settings)
        return {
            name: Held(len(found[name]), sum(_size(consumer, name, one) for one in found[name]))
            for name in names
            if name in found
        }


def _size(consumer: Consumer, topic: str, partition: int) -> int:
    try:
        offsets = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S)
    except KafkaException as error:
        raise ConsumingError(f"topic {topic} cannot be read: {_text(error)}; check the brokers and your rights") from error
    return offsets[1] - offsets[0] if offsets else 0


def _consumer(settings: Settings) -> Consumer:
    try:
        return Consumer(
            {
                "log_level": 0,
                **settings.client_options(),
                "group.id": "fleetcap-looking-on",  # required by the client; never joined, nothing is committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
    except (KafkaException, ValueError) as error:
        raise ConsumingError(f"a Kafka option cannot be used: {_text(error)}; see librdkafka's CONFIGURATION.md") from error


def _partitions(consumer: Consumer, settings: Settings, names: Sequence[str]) -> list[TopicPartition]:
    found = _topics(consumer, settings)
    missing = [name for name in names if name not in found]
    if missing:
        raise ConsumingError(f"topic {', '.join(missing)} is missing; create it with `fleetcap topics create`")
    return [TopicPartition(name, number) for name in names for number in found[name]]


def _topics(consumer: Consumer, settings: Settings) -> dict[str, list[int]]:
    """Every topic's partitions."""
    try:
        found = consumer.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise ConsumingError(
            f"cannot reach Kafka at {settings.bootstrap_servers}: {_text(error)}; "
            "check --bootstrap-servers, or start a broker with `fleetcap broker`"
        ) from error
    return {name: sorted(topic.partitions) for name, topic in found.items() if topic.error is None}


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
