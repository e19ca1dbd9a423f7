"""Faust's aiokafka driver, made to hand over one event for each partition and fetch instead of one for each record.

Faust makes four asyncio tasks for every record; here it makes them for every batch, which is what lets one worker read
hundreds of thousands of records a second. What is kept of Faust's consumer: group membership, the assignor, the checks that
drop what belongs to a former assignment. What is left out: per-record acknowledgements, and every commit, since offsets are
committed by checkpoints alone. Written against faust-streaming 0.15.3 and aiokafka 0.14.0, which are pinned for it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import aiokafka
import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from fleetcap_streams.engine.values import Record
from fleetcap_streams.kafka.partition import Batch

FETCH_TIMEOUT_S: Final = 1.0
PAUSE_S: Final = 0.05  # while nothing may be fetched: during recovery, or without partitions


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What bounds memory however large the lag: bytes of a partition, of a fetch, and records handed over at once.

    A single larger record is still delivered, by the broker's own rule (KIP-74).
    """

    partition_bytes: int = 1024 * 1024
    bytes: int = 8 * 1024 * 1024
    records: int = 4000
    # How long the broker holds a fetch that finds nothing. Partitions that were being consumed when it was sent wait for it
    # to return, so it is their latency.
    wait_ms: int = 100


class Fetched(NamedTuple):
    """Records of one partition as aiokafka has them; the rest as in `Batch`."""

    seeks: int
    start: int
    end: int
    records: list[Any]


class BatchSchema(faust.Schema):  # type: ignore[misc] # Faust ships no types
    """Hands a batch on as it is; the engine decodes."""

    def loads_key(self, *_: Any, **__: Any) -> None:
        """A batch has no key."""

    def loads_value(self, _app: Any, message: Any, **_: Any) -> Batch:
        """The batch that the consumer put there."""
        batch: Batch = message.value
        return batch


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust ships no types
    """Runs aiokafka's consumer in its own thread and loop, so that heartbeats go on while the engine works."""

    seeks = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        conf = self.app.conf
        limits: FetchLimits = transport.limits
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            bootstrap_servers=driver.server_list(transport.url, transport.default_port),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset=conf.consumer_auto_offset_reset,
            isolation_level="read_committed",
            max_poll_records=limits.records,
            max_partition_fetch_bytes=limits.partition_bytes,
            fetch_max_bytes=limits.bytes,
            fetch_max_wait_ms=limits.wait_ms,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            check_crcs=conf.broker_check_crcs,
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
            **driver.credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Pass the assignment on, and keep aiokafka from fetching changelogs, which are read elsewhere."""
        changelogs = self.app.tables.changelog_topics
        consumer = self._ensure_consumer()
        consumer.pause(*(tp for tp in consumer.assignment() if tp.topic in changelogs))
        await super().on_partitions_assigned(assigned, generation_id)

    async def fetch(self, partitions: set[Any]) -> dict[Any, Fetched]:
        """The next records of these partitions, empty where none come in time."""
        result: dict[Any, Fetched] = await self.call_thread(self._fetch, self._ensure_consumer(), partitions)
        return result

    async def _fetch(self, consumer: Any, partitions: set[Any]) -> dict[Any, Fetched]:
        fetcher = consumer._fetcher  # noqa: SLF001 - as Faust's own driver does; the versions are pinned
        if not self.consumer.flow_active:
            return {}
        if consumer._closed or fetcher._closed:  # noqa: SLF001
            raise aiokafka.errors.ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001
            found = await self._take(consumer, partitions)
            if not found:
                await asyncio.wait([fetcher._create_fetch_waiter()], timeout=FETCH_TIMEOUT_S)  # noqa: SLF001
                found = await self._take(consumer, partitions)
            return found

    async def _take(self, consumer: Any, partitions: set[Any]) -> dict[Any, Fetched]:
        # With a timeout of zero nothing else runs between reading the positions and taking the records, so they belong together.
        starts = {tp: _position(consumer, tp) for tp in partitions}
        records = await consumer._fetcher.fetched_records(partitions, timeout=0, max_records=consumer._max_poll_records)  # noqa: SLF001
        return {
            tp: Fetched(self.seeks, _start(starts.get(tp), found), _position(consumer, tp) or found[-1].offset + 1, found)
            for tp, found in records.items()
        }

    async def seek_to(self, tp: Any, offset: int) -> int:
        """Move to an offset; whatever is fetched from then on carries the returned number of seeks or a higher one."""
        seeks: int = await self.call_thread(self._seek_to, self._ensure_consumer(), tp, offset)
        return seeks

    async def _seek_to(self, consumer: Any, tp: Any, offset: int) -> int:
        consumer.seek(aiokafka.TopicPartition(tp.topic, tp.partition), offset)
        self.seeks += 1
        return self.seeks

    def highwater(self, tp: Any) -> int | None:
        """The end of what may be read: of committed transactions, not of the log."""
        end: int | None = self._ensure_consumer().last_stable_offset(tp)
        return end

    async def highwaters(self, *partitions: Any) -> Mapping[Any, int]:
        """Nothing, so that Faust's recovery finds nothing to do: `recovery.py` does it."""
        return dict.fromkeys(partitions, 0)

    async def earliest_offsets(self, *partitions: Any) -> Mapping[Any, int]:
        """As `highwaters`."""
        return dict.fromkeys(partitions, 0)


class Consumer(driver.Consumer):  # type: ignore[misc] # Faust ships no types
    """Reads batches and never commits."""

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - Faust's signature
        """Offsets are committed by checkpoints, with what they led to."""
        return False

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust would complain that nothing is ever committed."""

    def on_buffer_full(self, tp: Any) -> None:
        """A full queue already makes the reading loop wait, without giving partitions up for a second."""

    def on_buffer_drop(self, tp: Any) -> None:
        """As `on_buffer_full`."""

    async def seek_to(self, tp: Any, offset: int) -> int:
        """Move to an offset; batches fetched from then on carry the returned number of seeks or a higher one.

        Raises:
            aiokafka.errors.IllegalStateError: the partition is not assigned to us any more.
        """
        seeks: int = await self._thread.seek_to(tp, offset)
        return seeks

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._read_once()
        except (aiokafka.errors.ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _read_once(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        partitions = {tp for tp in self._get_active_partitions() if not self._is_changelog_tp(tp)}
        if not partitions:
            await self.sleep(PAUSE_S)
            return
        generation = self.app.consumer_generation_id
        for tp, fetched in (await self._thread.fetch(partitions)).items():
            # A rebalance began meanwhile: what was read may be somebody else's now. Positions are set anew after it.
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return
            await self._deliver(self._batch_message(TP(tp.topic, tp.partition), fetched))

    async def _deliver(self, message: Any) -> None:
        delivery = asyncio.ensure_future(self.callback(message))
        suspended = asyncio.ensure_future(self.suspend_flow.wait())
        try:
            await asyncio.wait({delivery, suspended}, return_when=asyncio.FIRST_COMPLETED)
            # A rebalance empties the queues and cancels whoever waits for room in them; that is not our own cancellation.
            if delivery.done() and not delivery.cancelled():
                delivery.result()
        finally:
            delivery.cancel()
            suspended.cancel()

    def _batch_message(self, tp: Any, fetched: Fetched) -> Any:
        last = fetched.records[-1]
        records = [Record(record.offset, record.key, record.value, record.timestamp) for record in fetched.records]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            (),
            None,
            Batch(tp.partition, fetched.seeks, fetched.start, fetched.end, records),
            None,
            0,
            sum(record.serialized_value_size for record in fetched.records),
            tp,
            generation_id=self.app.consumer_generation_id,
        )


class Transport(driver.Transport):  # type: ignore[misc] # Faust ships no types
    """The driver with the consumer above; give an instance to `app.transport`."""

    Consumer = Consumer

    def __init__(self, urls: Iterable[Any], app: Any, limits: FetchLimits) -> None:
        super().__init__(list(urls), app)
        self.limits = limits


def _position(consumer: Any, tp: Any) -> int | None:
    subscriptions = consumer._subscription  # noqa: SLF001 - the public `position` waits and may fail
    if not subscriptions.is_assigned(tp):
        return None
    state = subscriptions.subscription.assignment.state_value(tp)
    position: int | None = state.position if state.has_valid_position else None
    return position


def _start(position: int | None, records: list[Any]) -> int:
    first: int = records[0].offset
    return first if position is None else min(position, first)
