"""What the worker serves beside Faust's own pages: /metrics for Prometheus, /healthz and /readyz for whoever runs it."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fleetcap_streams.kafka.measures import Measures
from fleetcap_streams.kafka.partitions import Partitions


def add_pages(application: Any, partitions: Partitions, measures: Measures) -> None:
    """Add them to an aiohttp application that is not yet started.

    Health is whether starting again would help: served at all, the event loop lives. Readiness is whether records are read:
    not during a rebalance, and not while no broker can be reached.
    """

    async def metrics(_request: web.Request) -> web.Response:
        partitions.measure()
        return web.Response(body=generate_latest(measures.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application.router.add_get("/metrics", metrics)
    application.router.add_get("/healthz", _answering(lambda: str(partitions.failure) if partitions.failure else None))
    application.router.add_get("/readyz", _answering(partitions.not_ready))


def _answering(wrong: Callable[[], str | None]) -> Any:
    async def answer(_request: web.Request) -> web.Response:
        why = wrong()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    return answer
