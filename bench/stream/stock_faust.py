"""Faust as its guide shows it: an agent that gets one event for each record, our engine in it, its state in a table.

    python -m bench.stream.stock_faust SERVERS GROUP FOLDER

At least once: Faust commits offsets on its own, every `COMMIT_S`. Faust's own exactly_once does not work.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import faust

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


def application(servers: str, group: str, folder: Path) -> Any:
    """The app, with one agent."""
    app = faust.App(
        group,
        broker=[f"kafka://{server}" for server in servers.split(",")],
        datadir=folder,
        topic_partitions=PARTITIONS,
        broker_commit_interval=COMMIT_S,
        producer_compression_type="lz4",
        producer_linger_ms=5,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
    )
    raw = app.topic(topics.RAW, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    outputs = {
        name: app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
        for name in topics.OUTPUTS
    }
    states = app.Table("states", key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    limits = EngineLimits()
    engines = [Engine(default_registry(), limits, shortcut(limits)) for _ in range(PARTITIONS)]
    encode = Encoder()

    @app.agent(raw)  # type: ignore[untyped-decorator] # Faust ships no types
    async def decode(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            engine, source = engines[message.partition], Source(topics.RAW, message.partition, message.offset)
            record = Record(message.offset, message.key, message.value, int(message.timestamp * 1000))
            for output in engine.feed((record,)):
                for alike in encode(output, source):
                    for value in alike.values:
                        await outputs[alike.topic].send(key=alike.key, value=value, partition=message.partition)
            for uuid, saved in engine.changed():
                key = uuid.encode()
                if saved is not None:
                    states[key] = saved
                else:
                    states.pop(key, None)

    return app


async def main() -> None:
    """Run until it is killed."""
    servers, group, folder = sys.argv[1:]
    await application(servers, group, Path(folder)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
