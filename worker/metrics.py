"""What Prometheus sees of a worker.

Labels come from our own tables, never from a caller or a stranger: platforms, causes, queues, kinds of hosts.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connections.db import Database
from connections.metrics import Read, database_connections, process_registry
from worker.pacing import Room
from worker.platforms.base import Platform

CONNECTED = "connected"
"""The cause of an attempt that has one account for its outcome."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
_WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)

# Strangers' hosts answer with any number.
_STATUSES = frozenset({200, 400, 401, 403, 404, 429, 500, 502, 503, 504})
_NO_ANSWER = "none"

_OTHER_HOSTS = "other"


class WorkerMetrics:
    """One per worker process, used by its threads."""

    def __init__(self, host_classes: Mapping[str, str] | None = None) -> None:
        """`host_classes` says what the hosts that the operator has named are for; all others are of one class."""
        self.registry = process_registry("worker")
        self._classes = host_classes or {}
        self._attempts = self._counter("connector_attempts", "Attempts that have ended.", "platform", "cause")
        self._seconds = self._histogram("connector_attempt_seconds", "What an attempt took.", _SECONDS, "platform")
        self._retries = self._counter(
            "connector_retries", "Attempts that will be followed by another.", "platform", "cause"
        )
        self._waits = self._histogram(
            "connector_task_wait_seconds",
            "From the acceptance of a task that is no row of a batch to its first attempt.",
            _WAITS,
            "platform",
        )
        self._upstream = self._counter(
            "connector_upstream_requests", "Requests to other hosts.", "host_class", "status"
        )
        self._upstream_seconds = self._histogram(
            "connector_upstream_seconds", "What they took, waiting for their turn not included.", _SECONDS, "host_class"
        )
        self._leases_lost = self._counter(
            "connector_leases_lost", "Attempts whose task another worker had taken over before their end."
        )
        self._refreshes = self._counter(
            "connector_refreshes", "Sessions that were refreshed, or why not.", "platform", "outcome"
        )
        self._swept = self._counter("connector_tasks_swept", "Tasks whose message was sent again.", "queue")
        self._webhook_attempts = self._counter(
            "connector_webhook_attempts", "Attempts to deliver an event to a webhook.", "outcome"
        )
        self._webhook_dead = self._counter(
            "connector_webhook_dead_letters", "Deliveries to webhooks that were given up."
        )
        self._sessions_ended = self._counter(
            "connector_sessions_ended", "Tries to end a session that its account had left.", "platform", "outcome"
        )

    def attempted(self, platform: str, cause: str, seconds: float) -> None:
        self._attempts.labels(platform, cause).inc()
        self._seconds.labels(platform).observe(seconds)

    def retried(self, platform: str, cause: str) -> None:
        self._retries.labels(platform, cause).inc()

    def begun(self, platform: str, waited: float) -> None:
        """The first attempt of a task that is no row of a batch."""
        self._waits.labels(platform).observe(waited)

    def requested(self, host: str, status: int | None, seconds: float) -> None:
        """A request to another host; without a `status` there was no answer."""
        host_class = self._classes.get(host, _OTHER_HOSTS)
        self._upstream.labels(host_class, _status(status)).inc()
        self._upstream_seconds.labels(host_class).observe(seconds)

    def lease_lost(self) -> None:
        self._leases_lost.inc()

    def refreshed(self, platform: str, outcome: str) -> None:
        """`outcome` is "refreshed", "lost", or the cause that it was not."""
        self._refreshes.labels(platform, outcome).inc()

    def swept(self, queue: str) -> None:
        self._swept.labels(queue).inc()

    def webhook_attempted(self, outcome: str) -> None:
        """`delivered`, or the word for what was wrong."""
        self._webhook_attempts.labels(outcome).inc()

    def webhook_dead(self, deliveries: int) -> None:
        self._webhook_dead.inc(deliveries)

    def session_ended(self, platform: str, outcome: str, *, count: int = 1) -> None:
        """With a `count` of 0 Prometheus sees the zero before the first one, without which that would not be a rise."""
        self._sessions_ended.labels(platform, outcome).inc(count)

    def watch(
        self,
        database: Database,
        rooms: Callable[[], Mapping[str, Room]],
        *,
        threads: int,
        busy: Read,
        platforms: Mapping[str, Platform],
    ) -> None:
        """Adds what is read of the other parts when somebody asks. `rooms` are those of the operator's own hosts."""
        self.registry.register(database_connections(database))
        self.registry.register(_Budgets(rooms))
        self.registry.register(_Circuits(platforms))
        Gauge("connector_threads", "Attempts that may run at a time.", registry=self.registry).set(threads)
        Gauge("connector_threads_busy", "Tasks that run now.", registry=self.registry).set_function(busy)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class _Budgets(Collector):
    """What is left for batches at the operator's own hosts: one call of Redis for each scrape."""

    def __init__(self, rooms: Callable[[], Mapping[str, Room]]) -> None:
        self._rooms = rooms

    def describe(self) -> Iterator[Metric]:
        yield from self._families()

    def collect(self) -> Iterator[Metric]:
        left, wait = self._families()
        for host, room in self._rooms().items():
            left.add_metric([host], room.requests)
            wait.add_metric([host], room.wait)
        yield left
        yield wait

    @staticmethod
    def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "connector_host_budget_left", "Requests that batches may begin in a window from now.", labels=["host"]
            ),
            GaugeMetricFamily(
                "connector_host_wait_seconds", "Until the next request of a batch may begin.", labels=["host"]
            ),
        )


class _Circuits(Collector):
    def __init__(self, platforms: Mapping[str, Platform]) -> None:
        self._platforms = platforms

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        metric = self._family()
        for name, platform in self._platforms.items():
            for kind, count in platform.open_circuits().items():
                metric.add_metric([name, kind], count)
        yield metric

    @staticmethod
    def _family() -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "connector_circuits_open", "Hosts that are left alone because they fail.", labels=["platform", "kind"]
        )


def _status(status: int | None) -> str:
    if status is None:
        return _NO_ANSWER
    return str(status) if status in _STATUSES else f"{status // 100}xx"
