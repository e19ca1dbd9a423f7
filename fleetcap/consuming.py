"""Reads whole topics for commands that look on: all partitions, no group, committed records only."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from fleetcap.settings import Settings

_TIMEOUT_S = 5.0
_BATCH = 1000


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
            for message in messages:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local codes have this name
                    open_ends.discard((message.topic(), message.partition()))
                elif error.fatal():
                    raise ConsumingError(f"reading {message.topic()} failed: {error.str()}; check the brokers")
            if reading.idle_s is not None and not open_ends and silent_s >= reading.idle_s:
                return


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
    try:
        found = consumer.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as error:
        raise ConsumingError(
            f"cannot reach Kafka at {settings.bootstrap_servers}: {_text(error)}; "
            "check --bootstrap-servers, or start a broker with `fleetcap broker`"
        ) from error
    missing = [name for name in names if name not in found or found[name].error is not None]
    if missing:
        raise ConsumingError(f"topic {', '.join(missing)} is missing; create it with `fleetcap topics create`")
    return [TopicPartition(name, number) for name in names for number in found[name].partitions]


def _text(error: BaseException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
