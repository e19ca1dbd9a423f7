"""What a worker tells about itself, in Prometheus's terms. Its own registry: nothing of the process's other libraries.

Counts of outputs are of those that are durable, so that what was aborted and made again counts once. What connections lost is
counted when they end, as it is made.
"""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fleetcap_streams.engine.values import ConnectionOut, EncodedOut, MessageOut, Output, Record
from fleetcap_streams.kafka.outgoing import Source
from fleetcap_streams.kafka.partition import Checkpoint, Encoder, Engine
from fleetcap_streams.protocols.http1.open_message import NAME as HTTP1

_PARTITION: Final = ("partition",)
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
TIMED: Final = 16  # one record in so many: a clock costs a tenth of what a small record does
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
        self._dropped = Counter("fleetcap_states_dropped", "Too large to be kept", registry=registry)
        self._unreadable = Counter(
            "fleetcap_states_unreadable", "Saved states whose connection began anew as if joined", registry=registry
        )
        self._cost_s = Counter(
            "fleetcap_cost_seconds", "Processor time of the records that were timed", ("protocol",), registry=registry
        )
        self._cost_bytes = Counter(
            "fleetcap_cost_bytes", "Bytes of the records that were timed", ("protocol",), registry=registry
        )
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

    def metering(self, engine: Engine) -> Engine:
        """The engine, with every so many of its records timed."""
        return _Metered(engine, self._cost)

    def _cost(self, protocol: str, seconds: float, size: int) -> None:
        self._cost_s.labels(protocol).inc(seconds)
        self._cost_bytes.labels(protocol).inc(size)

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
        self._dropped.inc(checkpoint.dropped)
        self._unreadable.inc(checkpoint.unreadable)
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


class _Metered:
    """An engine beside a clock; what it does is the engine's."""

    def __init__(self, engine: Engine, tell: Callable[[str, float, int], None]) -> None:
        self._engine = engine
        self._tell = tell
        self._calls = 0
        self.changed = engine.changed
        self.restore = engine.restore
        self.next_deadline_ms = engine.next_deadline_ms

    def feed(self, records: Iterable[Record]) -> list[Any]:
        self._calls += 1
        if self._calls % TIMED:
            return self._engine.feed(records)
        given = list(records)
        began = time.thread_time()
        out = self._engine.feed(given)
        self._tell(_protocol(out), time.thread_time() - began, sum(len(record.value or b"") for record in given))
        return out

    @property
    def unreadable(self) -> int:
        return self._engine.unreadable

    def __len__(self) -> int:
        return len(self._engine)


def _protocol(outputs: Iterable[Any]) -> str:
    """That of the first message; empty where nothing was decoded."""
    for output in outputs:
        if isinstance(output, EncodedOut):
            return HTTP1
        if isinstance(output, MessageOut):
            return output.message.protocol
    return ""
