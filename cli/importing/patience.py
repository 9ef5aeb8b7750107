"""How a command waits for a service that is away: longer each time, and never silently."""

import time
from collections.abc import Callable
from typing import TypeVar

from cli.wording import roughly

FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 30.0

T = TypeVar("T")


class Unavailable(Exception):
    """The service did not answer, or said that it cannot now. `retry_after` is in seconds, if it named a time."""

    def __init__(self, reason: str, *, retry_after: float | None = None, was_sent: bool = True) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.was_sent = was_sent
        """Whether the service may have got the request."""


class Patience:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._failures = 0

    def until_answered(self, ask: Callable[[], T]) -> T:
        """Asks again until something other than `Unavailable` comes of it."""
        while True:
            try:
                answer = ask()
            except Unavailable as unavailable:
                self.wait(unavailable)
            else:
                self._failures = 0
                return answer

    def wait(self, unavailable: Unavailable) -> None:
        seconds = FIRST_SECONDS * 2 ** min(self._failures, 10)
        # A time that is named is heard, within reason: coming early costs one request, believing nonsense the batch.
        seconds = min(max(seconds, unavailable.retry_after or 0), _LONGEST_SECONDS)
        self._failures += 1
        self._say(f"{unavailable}; trying again in {roughly(max(1, round(seconds)))}")
        time.sleep(seconds)
