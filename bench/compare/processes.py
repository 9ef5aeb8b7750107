"""What processes have used: each counts with all its children."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil

_SAMPLE_SECONDS = 0.2


def cpu_seconds(pid: int) -> float:
    """User and system time so far, that of children that have ended included."""
    spent = 0.0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
            spent += times.children_user + times.children_system
    return spent


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of all of them. What forked processes share is counted for each, as `top` does."""
    total = 0
    for process in (member for pid in pids for member in _family(pid)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


class Peak:
    """Looks at the memory of processes five times a second; `bytes` is the most there was at once."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.bytes = 0
        self._pids = tuple(pids)
        self._stopped = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="peak")
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join()

    def _run(self) -> None:
        while True:
            self.bytes = max(self.bytes, resident_bytes(self._pids))
            if self._stopped.wait(_SAMPLE_SECONDS):
                return


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []
