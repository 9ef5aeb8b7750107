"""What Prometheus sees of the service as a whole. beat tells it, of which there is one: each figure comes once.

Everything is read when it is asked for, and what cannot be read is left out.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

import redis
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connections.db import Database
from connections.errors import QueueUnavailable, ServiceUnavailable
from connections.messages import Queue
from connections.metrics import process_registry
from connections.repository.batches import running_batch_rows
from connections.repository.deliveries import oldest_pending
from connections.repository.ending import sessions_to_end
from connections.repository.observing import in_flight_by_queue
from connections.repository.refreshing import seconds_overdue
from messaging.depth import QueueDepth
from worker.clock import SENT
from worker.heartbeat import live_threads

# Housekeeping has no rows.
_ROWS_IN = (Queue.CONNECT, Queue.BULK)


def beat_registry(database: Database, client: redis.Redis, depth: QueueDepth) -> CollectorRegistry:
    registry = process_registry("beat")
    for read in (_ticks, lambda: _of_database(database), lambda: _of_queues(depth), lambda: _of_workers(client)):
        registry.register(_Read(read))
    return registry


class _Read(Collector):
    """Asks nobody when it is registered, as there may be nobody there yet."""

    def __init__(self, read: Callable[[], Iterator[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with suppress(ServiceUnavailable, QueueUnavailable, redis.RedisError):
            yield from list(self._read())


def _ticks() -> Iterator[Metric]:
    ticks = CounterMetricFamily(
        "connector_beat_ticks", "Messages of the clock that the broker has taken.", labels=["task"]
    )
    for task, count in SENT.copy().items():
        ticks.add_metric([task], count)
    yield ticks


def _of_database(database: Database) -> Iterator[Metric]:
    with database.read() as connection:
        tallies = in_flight_by_queue(connection)
        batches, rows = running_batch_rows(connection)
        oldest_delivery = oldest_pending(connection)
        to_end = sessions_to_end(connection)
        overdue = seconds_overdue(connection)
    in_flight = GaugeMetricFamily("connector_tasks_in_flight", "Tasks that have not ended.", labels=["queue", "status"])
    for tally in tallies:
        in_flight.add_metric([tally.queue, tally.status], tally.rows)
    yield in_flight
    oldest = GaugeMetricFamily(
        "connector_oldest_task_seconds", "Since the oldest task that has not ended was accepted.", labels=["queue"]
    )
    for queue in _ROWS_IN:
        ages = (tally.oldest_seconds for tally in tallies if tally.queue == queue)
        oldest.add_metric([queue], max(ages, default=0.0))
    yield oldest
    yield GaugeMetricFamily("connector_batches_running", "Batches that have not ended.", value=batches)
    waiting = sum(tally.rows for tally in tallies if tally.queue == Queue.BULK)
    yield GaugeMetricFamily("connector_sessions_to_end", "Sessions that wait to be ended.", value=to_end)
    progress = GaugeMetricFamily("connector_batch_rows", "Rows of the batches that run.", labels=["state"])
    progress.add_metric(["waiting"], waiting)
    progress.add_metric(["ended"], max(0, rows - waiting))
    yield progress
    yield GaugeMetricFamily(
        "connector_webhook_oldest_seconds",
        "Since the oldest event that a webhook is still to be told.",
        value=oldest_delivery or 0.0,
    )
    yield GaugeMetricFamily(
        "connector_refresh_overdue_seconds",
        "Since the session was due that has waited longest for its refresh.",
        value=overdue or 0.0,
    )


def _of_queues(depth: QueueDepth) -> Iterator[Metric]:
    messages = GaugeMetricFamily("connector_queue_messages", "Messages that no worker has taken yet.", labels=["queue"])
    for queue, length in zip(Queue, depth(*Queue), strict=True):
        messages.add_metric([queue], length)
    yield messages


def _of_workers(client: redis.Redis) -> Iterator[Metric]:
    threads = live_threads(client)
    yield GaugeMetricFamily("connector_workers", "Workers that live.", value=len(threads))
    yield GaugeMetricFamily("connector_worker_threads", "Attempts that they may run at a time.", value=sum(threads))
