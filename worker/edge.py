"""The edge of every task: nothing leaves it."""

import contextlib
from typing import Any

import structlog
from celery import Task

from connections.errors import ServiceUnavailable
from worker.running import RUNNING

log = structlog.get_logger()


class ContainedTask(Task):
    """Ends every run normally, so that Celery acknowledges the message and frees the slot.

    On the threads pool, `SystemExit`, `MemoryError` and their like would leave the message unacknowledged and its slot
    taken for good; a few of those stop a worker that still answers pings. What a run could not finish is in its row,
    and the sweep brings that back.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        try:
            with RUNNING.entered(str(self.request.id)):
                super().__call__(*args, **kwargs)
        except ServiceUnavailable:
            log.warning("task_put_off", task=self.name, cause="database unavailable")
        except BaseException as error:
            # What ended the run may end the logging of it too: memory that has run out, a stack that is full.
            with contextlib.suppress(BaseException):
                log.exception("task_crashed", task=self.name, cause=type(error).__name__)
