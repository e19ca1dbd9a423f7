"""The Faust app on one screen: the raw topic comes in, an engine for each partition does the work, checkpoints go out."""

from typing import Any

import faust
from faust import stores
from mode import CrashingSupervisor

from fleetcap_streams.kafka.config import TABLE, WorkerConfig
from fleetcap_streams.kafka.partitions import Partitions
from fleetcap_streams.kafka.transport import BatchSchema, Transport

stores.STORES.aliases["engines"] = "fleetcap_streams.kafka.store:ConnectionStore"


class App(faust.App):  # type: ignore[misc] # Faust ships no types
    """Keeps nothing on disk, so that a killed worker leaves nothing there."""

    async def on_first_start(self) -> None:
        """Make no folders: only stores that keep files have a use for them."""


def create_app(config: WorkerConfig, partitions: Partitions, count: int) -> Any:
    """The app of a worker whose raw topic has `count` partitions. Nothing is connected before it is started."""
    session_s = config.session_timeout_ms / 1000
    app = App(
        config.group,
        broker=config.cluster().broker_urls(),
        broker_credentials=config.cluster().credentials(),
        broker_session_timeout=session_s,
        consumer_group_instance_id=config.instance_id or None,
        broker_heartbeat_interval=session_s / 4,
        broker_rebalance_timeout=max(60.0, session_s),
        broker_request_timeout=max(60.0, session_s + 5),  # at least the session, by Faust's and Kafka's rules
        broker_max_poll_interval=300.0,
        broker_commit_interval=60.0,  # of a commit that does nothing
        consumer_auto_offset_reset="earliest",
        agent_supervisor=CrashingSupervisor,
        stream_buffer_maxsize=2,  # batches, each of up to a megabyte
        stream_wait_empty=False,
        stream_publish_on_commit=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        web_enabled=config.web_port is not None,
        web_host=config.web_host,
        web_bind=config.web_host,
        web_port=config.web_port or 6066,  # Faust checks it even where it serves nothing
        autodiscover=False,
    )
    app.transport = Transport(app.conf.broker_consumer, app, config.fetch)
    partitions.attach(lambda: app.consumer)

    raw = app.topic(config.names().source, schema=BatchSchema())
    app.Table(TABLE, partitions=count, store="engines://here", options={"partitions": partitions})

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator] # Faust ships no types
    async def give_up(*_: Any, **__: Any) -> None:
        await partitions.release()

    @app.agent(raw, name="connections")  # type: ignore[untyped-decorator] # Faust ships no types
    async def connections(batches: Any) -> None:
        async for batch in batches.noack():  # a checkpoint is what acknowledges
            await partitions.feed(batch)

    return app
