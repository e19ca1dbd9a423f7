"""One broker or three, with the little patience that fault tests need, and what can be done to them."""

import json
import os
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from fleetcap.broker import HOST, BrokerOptions, EmbeddedBroker, free_ports

# Kafka wants 22 characters of base64 for 16 bytes.
CLUSTER: Final = "ZmxlZXRjYXAtZmF1bHRzMA"
START_S: Final = 150.0  # three brokers and their clients may share one slow core
IMPATIENT: Final = {
    "group.min.session.timeout.ms": "500",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}


class Cluster:
    """Brokers that share everything; of three, each topic's partition stands on all and two must have it."""

    def __init__(self, size: int, heap_mb: int = 384, data: Path | None = None) -> None:
        """`data`: where a single broker keeps its own; otherwise in temporary folders."""
        self.brokers = [EmbeddedBroker(replace(options, data=data)) for options in _options(size, heap_mb)]

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            for broker in self.brokers:
                undo.callback(broker.close)
                broker.launch()
            for broker in self.brokers:
                broker.await_ready()
            undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for broker in self.brokers:
            if broker.pid is not None:  # one that was left stopped would not end
                os.kill(broker.pid, signal.SIGCONT)
        for broker in self.brokers:
            broker.kill()
            broker.close()

    @property
    def size(self) -> int:
        return len(self.brokers)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def controller(self) -> EmbeddedBroker:
        """The active controller, as the quorum's own file tells it; clients are told of any broker."""
        for broker in self.brokers:
            state = broker.data / "log" / "__cluster_metadata-0" / "quorum-state"
            leader = json.loads(state.read_text()).get("leaderId", -1) if state.is_file() else -1
            if leader > 0:
                return self.brokers[leader - 1]
        return self.brokers[0]

    def start(self, *brokers: EmbeddedBroker) -> None:
        """Start those of the brokers that do not run, at the same time."""
        for broker in brokers:
            if not broker.running():
                broker.launch()
        for broker in brokers:
            broker.await_ready()


def _options(size: int, heap_mb: int) -> list[BrokerOptions]:
    if size == 1:
        return [BrokerOptions(heap_mb=heap_mb, start_timeout_s=START_S, properties=IMPATIENT)]
    ports = free_ports(2 * size)
    clients, controllers = ports[:size], ports[size:]
    shared = IMPATIENT | {
        "controller.quorum.voters": ",".join(f"{number}@{HOST}:{port}" for number, port in enumerate(controllers, 1)),
        "default.replication.factor": str(size),
        "min.insync.replicas": "2",
        "offsets.topic.replication.factor": str(size),
        "transaction.state.log.replication.factor": str(size),
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.replication.factor": str(size),
        "replica.lag.time.max.ms": "5000",
        "leader.imbalance.check.interval.seconds": "5",
    }
    return [
        BrokerOptions(
            port=client,
            heap_mb=heap_mb,
            start_timeout_s=START_S,
            cluster=CLUSTER,
            properties=shared
            | {
                "node.id": str(number),
                "listeners": f"PLAINTEXT://{HOST}:{client},CONTROLLER://{HOST}:{controller}",
            },
        )
        for number, (client, controller) in enumerate(zip(clients, controllers, strict=True), 1)
    ]
