"""The producer's counts for Prometheus, and whether it lives, by HTTP from a thread of its own.

It only reads what `Health` last put together, so a scrape costs the capture nothing. The one module here that imports a
Prometheus client.
"""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleetcap_producer.health import Counts


class _Counts(Collector):
    def __init__(self, latest: Callable[[], Counts]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """What a scrape sees."""
        now = self._latest()
        yield CounterMetricFamily("fleetcap_captured_events", "Events that reached the producer", value=now.events)
        yield CounterMetricFamily("fleetcap_captured_bytes", "Payload bytes of them", value=now.payload_bytes)
        yield CounterMetricFamily("fleetcap_shipped_records", "Records given to the way to Kafka", value=now.records)
        yield GaugeMetricFamily("fleetcap_spool_bytes", "Waiting on disk", value=now.spool_bytes)
        lost_events = CounterMetricFamily("fleetcap_lost_events", "Events lost on the node", labels=["cause"])
        lost_bytes = CounterMetricFamily("fleetcap_lost_bytes", "Bytes lost on the node, where known", labels=["cause"])
        for family, counts in ((lost_events, now.lost_events), (lost_bytes, now.lost_bytes)):
            for cause, count in sorted(counts.items()):
                family.add_metric([cause], count)
            yield family


def serve(host: str, port: int, latest: Callable[[], Counts]) -> tuple[Any, int]:
    """Serve `/metrics` until the server that this gives is shut down; the port, which is another where 0 was asked for.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counts(latest))
    server, _ = start_http_server(port, host, registry)
    return server, server.server_port
