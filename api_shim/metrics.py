"""What Prometheus sees of this process."""

import time
from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_shim.route import METHODS, route_of
from connections.db import Database
from connections.metrics import Read, ReadOnScrape, database_connections, process_registry

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Up to the longest wait a caller can ask for.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 61.0)


class Metrics:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        *,
        waiting: Read,
        listening: Read,
        queue_age: Read,
        refused: Mapping[str, Read],
        calls: Mapping[str, Read],
    ) -> None:
        """`waiting` tells how many callers wait at this moment, `listening` how many follow the events of a batch,
        `queue_age` for how many seconds the oldest message has waited, `refused` how many requests were turned away
        so far, by reason, and `calls` how many each pool of threads has in hand."""
        self._registry = process_registry("api")
        self._registry.register(database_connections(database))
        self._registry.register(
            ReadOnScrape(
                CounterMetricFamily,
                "connector_requests_refused",
                "Requests that were turned away before anything was stored.",
                "reason",
                refused,
            )
        )
        self._registry.register(
            ReadOnScrape(
                GaugeMetricFamily,
                "connector_thread_calls",
                "Calls that run in a thread of the pool, or wait for one.",
                "pool",
                calls,
            )
        )
        self._requests = Counter(
            "connector_http_requests", "Answered requests.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "connector_http_request_seconds",
            "Time to the first byte of the answer, waiting for the outcome included.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        Gauge(
            "connector_waiting_callers",
            "Callers that wait for the outcome of a task, or for a session.",
            registry=self._registry,
        ).set_function(waiting)
        Gauge(
            "connector_batch_listeners", "Callers that follow the events of a batch.", registry=self._registry
        ).set_function(listening)
        Gauge(
            "connector_queue_age_seconds",
            "For how long the oldest message of a waiting caller has been in the queue.",
            registry=self._registry,
        ).set_function(queue_age)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        # Labels are never what a caller made up: their number would grow without end.
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self) -> bytes:
        """The text format of Prometheus, `CONTENT_TYPE`."""
        return generate_latest(self._registry)


class RequestMetrics:
    """ASGI middleware: counts answers by the template of their route, which has no ids in it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.observe(scope["method"], route_of(scope), message["status"], time.monotonic() - started)
            await send(message)

        await self._app(scope, receive, observe)
