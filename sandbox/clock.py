"""The time of the whole network, which tests may move forward instead of waiting."""

import time


class Clock:
    """Seconds since the epoch, UTC, plus whatever was added by `advance`."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        """The current time of the sandbox in seconds since the epoch."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the time forward: tokens expire and windows of limits end, timers in the server do not fire."""
        self._ahead += seconds
