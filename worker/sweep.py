"""Brings back what was lost or is due, and ends what has expired. Safe to run in many workers at once."""

from collections.abc import Callable

import structlog

from connections import tracing
from connections.errors import QueueUnavailable
from connections.messages import Queue
from connections.settlement import Settlement
from worker import spans
from worker.announce import Announcer
from worker.metrics import WorkerMetrics

log = structlog.get_logger()

_ROWS_AT_ONCE = 200

SendTask = Callable[[str, Queue], None]


class Sweeper:
    """One per worker process."""

    def __init__(
        self, settlement: Settlement, announcer: Announcer, send: SendTask, metrics: WorkerMetrics | None = None
    ) -> None:
        """`send` puts the message of a task into a queue; it may raise `QueueUnavailable`."""
        self._settlement = settlement
        self._announcer = announcer
        self._send = send
        self._metrics = metrics or WorkerMetrics()

    def sweep(self) -> None:
        """Looks at the rows whose time has come; with more than one sweep takes, the next one goes on."""
        swept = self._settlement.sweep(limit=_ROWS_AT_ONCE)
        for task in swept:
            with spans.swept(task):
                if task.has_expired:
                    log.warning("task_expired", task_id=task.task_id)
                    self._announcer.settled(task.task_id, task.reply_to)
                    continue
                try:
                    with tracing.publishing(task.queue):
                        self._send(task.task_id, task.queue)
                except QueueUnavailable:
                    log.warning("sweep_stopped", cause="queue unavailable")
                    return
                self._metrics.swept(task.queue)
                log.info("task_sent_again", task_id=task.task_id, queue=task.queue)
