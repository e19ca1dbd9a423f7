"""`fleetcap record` from the raw topic, and its counterpart `fleetcap import`."""

import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path

from confluent_kafka import KafkaException, Message, Producer

from fleetcap.consuming import ConsumingError, Reading, read_batches, read_topics
from fleetcap.inputs.errors import InputError
from fleetcap.inputs.reading import read_records
from fleetcap.inputs.source import Source
from fleetcap.progress import with_progress
from fleetcap.recording import Recorded, RecordingWriter
from fleetcap.settings import Settings
from fleetcap_producer.shipping import producer_options
from fleetcap_proto import topics
from fleetcap_streams.engine.values import Record

_SLICE_S = 0.2  # of waiting inside the client, between which signals are heard


def record(settings: Settings, file: Path, *, beginning: bool, follow: bool) -> int:
    """Write the raw topic into a file, up to its present end or until interrupted; returns the exit code."""
    reading = Reading([settings.topic_prefix + topics.RAW], beginning, follow)
    with RecordingWriter(file) as writer:
        with suppress(KeyboardInterrupt):
            for batch in read_batches(settings, reading):
                for message in batch:
                    writer.write(message.partition() or 0, _record(message))
                writer.flush()
        sys.stderr.write(f"recorded {writer.records:,} records, {writer.bytes:,} bytes, in {file}\n")
    return 0


def import_file(settings: Settings, file: str) -> int:
    """Write an input's records into the raw topic, each to the partition of its key; returns the exit code.

    The broker stamps them anew, so their log time is that of the import. What stands before damage is imported, and then the
    damage is told.
    """
    failures = _Failures()
    count = 0
    damage: InputError | None = None
    with Source(file) as source:
        records = with_progress(read_records(source), source, "importing")
        first = next(records, None)  # what cannot be read at all is told before Kafka is asked
        producer = _producer(settings)
        try:
            for recorded in chain([first] if first else [], records):
                _produce(producer, settings.topic_prefix + topics.RAW, recorded, failures)
                count += 1
        except InputError as error:
            damage = error
        while len(producer):
            producer.flush(_SLICE_S)
    if failures.count:
        raise ConsumingError(f"{failures.count} of {count} records were not written: {failures.first}; check topic and broker")
    sys.stderr.write(f"imported {count:,} records from {source.name}\n")
    if damage is not None:
        raise damage
    return 0


class _Failures:
    """How many records were not written, and why the first was not."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def add(self, why: str) -> None:
        self.count += 1
        self.first = self.first or why

    def delivered(self, error: object, _message: Message) -> None:
        if error is not None:
            self.add(str(error))


def _record(message: Message) -> Record:
    _, timestamp_ms = message.timestamp()
    key, value = message.key(), message.value()
    return Record(message.offset() or 0, _bytes(key), _bytes(value), max(timestamp_ms, 0))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _producer(settings: Settings) -> Producer:
    name = settings.topic_prefix + topics.RAW
    # Looking at the end of the topic tells at once, and in one line, whether it can be had.
    for _ in read_topics(settings, Reading([name], beginning=False, follow=False)):
        break
    return Producer(producer_options(settings.client_options(), settings.queue_bytes))


def _produce(producer: Producer, topic: str, recorded: Recorded, failures: _Failures) -> None:
    record = recorded.record
    while True:
        try:
            producer.produce(topic, record.value, record.key, on_delivery=failures.delivered)
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            failures.add(str(error))
            return
        else:
            producer.poll(0)
            return
