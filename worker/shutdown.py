"""How a worker ends: what runs is finished within the grace period, the leases of the rest are released."""

import math
import threading
import time

import structlog

from connections.errors import ServiceUnavailable
from connections.settlement import Settlement
from worker.running import Running

log = structlog.get_logger()


class Shutdown:
    """One per worker process. The pool goes through it after SIGTERM, the watchdog when the pool cannot."""

    def __init__(self, running: Running, settlement: Settlement, *, grace_seconds: float) -> None:
        self._running = running
        self._settlement = settlement
        self._grace_seconds = grace_seconds
        self._begun = threading.Event()
        self._ends_at = math.inf
        self._is_hurried = False

    def begin(self) -> None:
        """Starts the grace period; it has one beginning, however often this is called."""
        if not self._begun.is_set():
            self._ends_at = time.monotonic() + self._grace_seconds
            self._begun.set()

    def hurry(self) -> None:
        """Ends the grace period. Safe in a signal handler: takes no lock."""
        self._is_hurried = True

    def pause(self, seconds: float) -> None:
        """Sleeps, but not past the beginning of the end."""
        self._begun.wait(seconds)

    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return not self._running or self._is_hurried or time.monotonic() >= self._ends_at

    def release(self) -> None:
        """Lets other workers claim what this one will not settle, now instead of when the leases end."""
        try:
            released = self._settlement.release()
        except ServiceUnavailable:
            log.warning("leases_not_released", cause="database unavailable")
            return
        if released:
            log.warning("leases_released", tasks=released)
