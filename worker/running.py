"""What runs in this process right now: entered at the edge of every task, read by the watchdog and at the end."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple


class Run(NamedTuple):
    """One run of a task. `number` tells it from other runs of the same task."""

    number: int
    task_id: str


class Running:
    """One per process. A thread has one run at a time, and none of its calls waits for another thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._runs: dict[int, Run] = {}

    @contextmanager
    def entered(self, task_id: str) -> Iterator[None]:
        thread = threading.get_ident()
        self._runs[thread] = Run(next(self._numbers), task_id)
        try:
            yield
        finally:
            del self._runs[thread]

    def by_thread(self) -> Mapping[int, Run]:
        """A copy; the keys are `threading.get_ident()`."""
        return self._runs.copy()

    def __bool__(self) -> bool:
        return bool(self._runs)


RUNNING = Running()  # Celery makes the tasks itself, so there is nobody to hand them one
