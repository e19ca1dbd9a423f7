"""`fleetcap record` from the raw topic, and its counterpart `fleetcap import`."""

import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path

from confluent_kafka import KafkaException, Message, Producer

from fleetcap.consuming import ConsumingError, Reading, read_topics
from fleetcap.progress import with_progress
from fleetcap.recording import Recorded, RecordingWriter, read_recording
from fleetcap.settings import Settings
from fleetcap_producer.shipping import producer_options
from fleetcap_proto import topics
from fleetcap_streams.engine.values import Record


def record(settings: Settings, file: Path, *, beginning: bool, follow: bool) -> int:
    """Write the raw topic into a file, up to its present end or until interrupted; returns the exit code."""
    reading = Reading([settings.topic_prefix + topics.RAW], beginning, follow)
    with RecordingWriter(file) as writer:
        with suppress(KeyboardInterrupt):
            for message in read_topics(settings, reading):
                writer.write(message.partition() or 0, _record(message))
        sys.stderr.write(f"recorded {writer.records:,} records, {writer.bytes:,} bytes, in {file}\n")
    return 0


def import_file(settings: Settings, file: Path) -> int:
    """Write a file's records into the raw topic, each to the partition of its key; returns the exit code.

    The broker stamps them anew, so their log time is that of the import.
    """
    failures: list[str] = []
    records = with_progress(read_recording(file), file, "importing")
    first = next(records, None)  # a file that is no recording is told before Kafka is asked
    producer = _producer(settings)
    count = 0
    for recorded in chain([first] if first else [], records):
        _produce(producer, settings.topic_prefix + topics.RAW, recorded, failures)
        count += 1
    producer.flush()
    if failures:
        raise ConsumingError(f"{len(failures)} of {count} records were not written: {failures[0]}; check topic and broker")
    sys.stderr.write(f"imported {count:,} records from {file}\n")
    return 0


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


def _produce(producer: Producer, topic: str, recorded: Recorded, failures: list[str]) -> None:
    record = recorded.record

    def delivered(error: object, _message: Message) -> None:
        if error is not None:
            failures.append(str(error))

    while True:
        try:
            producer.produce(topic, record.value, record.key, on_delivery=delivered)
        except BufferError:
            producer.poll(0.1)
        except KafkaException as error:
            failures.append(str(error))
            return
        else:
            producer.poll(0)
            return
