"""What a worker tells about itself, in Prometheus's terms. Its own registry: nothing of the process's other libraries.

Counts of outputs are of those that are durable, so that what was aborted and made again counts once. What connections lost is
counted when they end, as it is made.
"""

from collections import Counter as Counts
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fleetcap_streams.engine.values import ConnectionOut, Output
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.kafka.partition import Checkpoint, Encoder

_PARTITION: Final = ("partition",)
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
BYTES: Final = tuple(4.0**n for n in range(5, 14))  # 1 KiB to 64 MiB


class Measures:
    """All of one worker's. Labels are partitions and topics, never anything that captured data could name."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._lag_records = Gauge("fleetcap_lag_records", "Records of the raw topic not yet read", _PARTITION, registry=registry)
        self._lag_seconds = Gauge(
            "fleetcap_lag_seconds", "Age of the last record read; 0 where all are read", _PARTITION, registry=registry
        )
        self._connections = Gauge("fleetcap_connections", "Connections held, open or remembered", _PARTITION, registry=registry)
        self._waiting = Gauge("fleetcap_waiting_bytes", "Outputs that wait for a checkpoint", _PARTITION, registry=registry)
        self._owned = Gauge("fleetcap_partitions", "Partitions in this worker's hands", registry=registry)
        self._records = Counter("fleetcap_records", "Offsets of the raw topic consumed for good", _PARTITION, registry=registry)
        self._outputs = Counter("fleetcap_outputs", "Durable outputs", ("topic",), registry=registry)
        self._output_bytes = Counter("fleetcap_output_bytes", "Keys and values of durable outputs", ("topic",), registry=registry)
        self._state_bytes = Counter("fleetcap_state_bytes", "Durable changes of states", registry=registry)
        self._checkpoint_s = Histogram("fleetcap_checkpoint_seconds", "Of one transaction", buckets=SECONDS, registry=registry)
        self._checkpoint_bytes = Histogram(
            "fleetcap_checkpoint_bytes", "Outputs and states of one transaction", buckets=BYTES, registry=registry
        )
        self._aborted = Counter("fleetcap_checkpoints_not_made", "Aborted or hung, and made again", registry=registry)
        self._recovery_s = Histogram(
            "fleetcap_recovery_seconds", "Of taking one partition over", buckets=SECONDS, registry=registry
        )
        self._restored = Counter("fleetcap_connections_restored", "Taken over from a former owner", registry=registry)
        self._gaps = Counter("fleetcap_gaps", "Holes in connections, counted when they end", registry=registry)
        self._missing = Counter("fleetcap_missing_bytes", "Bytes in those holes", registry=registry)
        self._ended = Counter("fleetcap_segments_ended", "Ends of connections or parts of them", ("reason",), registry=registry)

    def counting(self, encode: Encoder) -> Encoder:
        """An encoder that also counts what connections lost."""

        def counted(output: Output, source: Source) -> Iterable[Any]:
            if isinstance(output, ConnectionOut) and output.reason is not None:
                self._ended.labels(output.reason.name.lower()).inc()
                self._gaps.inc(output.received.gaps + output.sent.gaps)
                self._missing.inc(output.received.missing_bytes + output.sent.missing_bytes)
            return encode(output, source)

        return counted

    def durable(self, partition: int, checkpoint: Checkpoint, records: int, seconds: float) -> None:
        """A checkpoint was written."""
        counts, sizes = Counts[str](), Counts[str]()
        for alike in checkpoint.outputs:
            counts[alike.topic] += len(alike.values)
            sizes[alike.topic] += len(alike.key or b"") * len(alike.values) + sum(map(len, alike.values))
        for topic, count in counts.items():
            self._outputs.labels(topic).inc(count)
            self._output_bytes.labels(topic).inc(sizes[topic])
        states = sum(len(key) + len(value or b"") for key, value in checkpoint.states)
        self._state_bytes.inc(states)
        self._records.labels(partition).inc(records)
        self._checkpoint_s.observe(seconds)
        self._checkpoint_bytes.observe(states + sizes.total())

    def not_made(self) -> None:
        """A checkpoint was aborted, or its client hung."""
        self._aborted.inc()

    def recovered(self, connections: int, seconds: float) -> None:
        """A partition was taken over."""
        self._recovery_s.observe(seconds)
        self._restored.inc(connections)

    def at(self, partition: int, *, lag_records: int, lag_s: float, connections: int, waiting_bytes: int) -> None:
        """Where a partition is now."""
        self._lag_records.labels(partition).set(lag_records)
        self._lag_seconds.labels(partition).set(lag_s)
        self._connections.labels(partition).set(connections)
        self._waiting.labels(partition).set(waiting_bytes)

    def own(self, partitions: Iterable[int], former: Iterable[int]) -> None:
        """Which partitions are owned from now on; of the former ones nothing is told any more but what they counted."""
        now = set(partitions)
        self._owned.set(len(now))
        for number in set(former) - now:
            for gauge in (self._lag_records, self._lag_seconds, self._connections, self._waiting):
                with suppress(KeyError):  # nobody has asked since it was taken over
                    gauge.remove(number)
