"""Quix Streams with our engine in its stateful operator. A program of its own: it needs another confluent-kafka than we do.

    .venv/bin/python app.py SERVERS GROUP FOLDER

Exactly once, with each connection's state in its store and that store's changelog.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

from quixstreams import Application, State, message_context
from quixstreams.models import BytesSerializer

from bench.stream.topic import PARTITIONS
from fleetcap_proto import topics
from fleetcap_streams.engine.engine import Engine
from fleetcap_streams.engine.limits import EngineLimits
from fleetcap_streams.engine.values import Record
from fleetcap_streams.fast.loading import shortcut
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.outputs.records import Encoder
from fleetcap_streams.protocols.registry import default_registry

COMMIT_S = 0.2  # as often as the worker's checkpoints


def main() -> None:
    """Run until it is killed."""
    servers, group, folder = sys.argv[1:]
    app = Application(
        servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_S,
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel=logging.WARNING,
        producer_extra_config={"compression.type": "lz4", "linger.ms": 5},
    )
    outputs = {name: app.topic(name, value_serializer=ValueOfPair(), key_serializer="bytes") for name in topics.OUTPUTS}
    raw = app.topic(topics.RAW, value_deserializer="bytes", key_deserializer="bytes")
    decoded = app.dataframe(raw).apply(decoding(), stateful=True, metadata=True, expand=True)
    decoded.to_topic(lambda pair, *_: outputs[pair[0]])
    app.run()


class ValueOfPair(BytesSerializer):  # type: ignore[misc] # its types are not in our environment
    """Of a topic's name and a value, the value."""

    def __call__(self, value: Any, ctx: Any) -> bytes:  # noqa: ARG002 - its base's signature
        """As it is."""
        encoded: bytes = value[1]
        return encoded


def decoding() -> Callable[..., list[tuple[str, bytes]]]:
    """What a record leads to; the connection's state goes to the store under the record's key, which is the connection."""
    limits = EngineLimits()
    engines = [Engine(default_registry(), limits, shortcut(limits)) for _ in range(PARTITIONS)]
    encode = Encoder()

    def decode(value: bytes, key: bytes, timestamp_ms: int, _headers: Any, state: State) -> list[tuple[str, bytes]]:
        at = message_context()
        engine, source = engines[at.partition], Source(topics.RAW, at.partition, at.offset)
        outputs = engine.feed((Record(at.offset, key, value, timestamp_ms),))
        for uuid, saved in engine.changed():
            if uuid.encode() == key:
                state.set_bytes("state", saved or b"")
        return [(alike.topic, one) for output in outputs for alike in encode(output, source) for one in alike.values]

    return decode


if __name__ == "__main__":
    main()
