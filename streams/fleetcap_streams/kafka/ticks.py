"""Tick records: what moves a silent partition's log time on. It must not know when one is due."""

import logging
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from fleetcap_proto.v1 import raw_pb2
from fleetcap_streams.kafka.cluster import Cluster

log = logging.getLogger("fleetcap.worker")
TICK: Final = raw_pb2.RawBatch(tick=raw_pb2.Tick()).SerializeToString()


class Ticker:
    """Writes ticks. One that fails is no loss: the partition stays silent, and the next one is due soon."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self._topic = topic
        self.lost = False  # whether no broker could be reached; stays so until somebody sets it back
        self._producer = Producer(
            cluster.client(enable_idempotence=True, linger_ms=0, message_timeout_ms=10_000, error_cb=self._note)
        )

    def write(self, partition: int) -> None:
        """Append a tick to a partition; returns before it is written."""
        try:
            self._producer.produce(self._topic, TICK, None, partition, on_delivery=_delivered)
        except (BufferError, KafkaException) as error:
            log.debug("partition %d: tick not written: %s", partition, error)

    def poll(self) -> None:
        """Serve the client; never blocks."""
        self._producer.poll(0)

    def _note(self, error: KafkaError) -> None:
        self.lost = self.lost or error.code() == KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - librdkafka's local codes have this name

    def close(self) -> None:
        """Drop what is not sent."""
        self._producer.purge()
        del self._producer


def _delivered(error: Any, _message: Any) -> None:
    if error is not None:
        log.debug("tick not written: %s", error)
