"""Celery's threads, but their end has an end."""

import contextlib
import time
from typing import Any

import structlog
from celery.concurrency.thread import TaskPool
from kombu.asynchronous import get_event_loop

from connections.thread_pool import ThreadPool
from worker.running import RUNNING
from worker.tasks import worker

log = structlog.get_logger()

_POLL_SECONDS = 0.05


class BoundedThreads(TaskPool):
    """Stops within the grace period. Celery's own pool waits for its threads as long as they like, and wakes the one
    that has been idle the longest."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.executor = ThreadPool(self.limit, name="task")

    def _get_info(self) -> dict[str, Any]:
        return {**super(TaskPool, self)._get_info(), "max-concurrency": self.limit, "threads": len(self.executor)}

    def on_stop(self) -> None:
        """Called when nothing is consumed any more. What is left unfinished goes back to the queue afterwards."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        shutdown = worker().shutdown
        shutdown.begin()
        log.info("worker_stopping", running=len(RUNNING.by_thread()))
        # The event loop goes on: it acknowledges what is done, and gives back the message that the last BRPOP, still
        # under way at the server, may bring. Nobody else could have it before the grace period is over.
        hub = get_event_loop()  # None when the connection was lost already
        with contextlib.suppress(*self.app.connection_for_read().connection_errors):
            while hub is not None and not shutdown.is_over():
                hub.run_once()
        while not shutdown.is_over():
            time.sleep(_POLL_SECONDS)
        shutdown.release()
