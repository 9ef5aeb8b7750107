"""Turns callers who would wait away while too many do already, at once and before anything is stored.

Without it a service that is asked for three times what it can do works through requests whose callers have long gone,
and nobody is answered in time. What has been accepted is not touched, and who does not wait is not turned away.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from connections.errors import QueueUnavailable, ServiceUnavailable

log = structlog.get_logger()

_LOOK_EVERY_SECONDS = 0.5

# What who is turned away is told to wait for, in seconds, at least and at most.
_SHORTEST_WAIT = 1.0
_LONGEST_WAIT = 30.0

AgeOfOldest = Callable[[], Awaitable[float]]


class QueueAge:
    """How long the oldest message of a waiting caller has been in the queue. One per process, on the event loop."""

    def __init__(self, age_of_oldest: AgeOfOldest, *, limit: float) -> None:
        """`age_of_oldest` gives seconds and may raise `QueueUnavailable`. More than `limit` seconds are too many."""
        self._age_of_oldest = age_of_oldest
        self._limit = limit
        self.seconds = 0.0
        """As it was half a second ago at most."""
        self.is_unknown = False
        """Whether the queue gave no answer then."""
        self.refused = 0
        """How many were turned away."""

    def check(self) -> None:
        """Raises `ServiceUnavailable` when who comes now would wait for too long."""
        if self.seconds > self._limit:
            self.refused += 1
            raise ServiceUnavailable(
                "More is asked of the service than it can do right now. Nothing was stored; try again, or do not wait.",
                hint="With `Prefer: respond-async` a request is accepted now and performed as soon as may be.",
                retry_after=min(max(self.seconds, _SHORTEST_WAIT), _LONGEST_WAIT),
            )

    async def run(self) -> None:
        """Looks, for ever."""
        while True:
            try:
                self._note(await self._age_of_oldest())
                self.is_unknown = False
            except QueueUnavailable:
                self.is_unknown = True
                self.seconds = 0.0  # nothing can be sent either, which callers are told in other words
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def _note(self, seconds: float) -> None:
        was_too_old, self.seconds = self.seconds > self._limit, seconds
        if was_too_old != (is_too_old := seconds > self._limit):
            if is_too_old:
                log.warning("overloaded", queue_age=round(seconds, 1))
            else:
                log.info("overload_over")
