"""For how long the oldest message has waited, where nobody can look at it: RabbitMQ hands messages out, and shows none.

Two bounds are known. When the queue was last seen empty, none of its messages had been sent. And when the message was
sent that a worker has begun last, those that still lie there had not been, for they are taken in the order they came.
The later of the two is close to the truth: a busy queue is seldom seen empty, but its messages are begun all the time;
one that nothing is taken from was empty, or was worked off, just before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable


class UnseenAge:
    """Seconds, as `Broker.oldest_message_age` gives them. For one caller at a time."""

    def __init__(self, unread: Callable[[], int], last_begun: Callable[[], Awaitable[float]]) -> None:
        """`unread` counts the messages, in a thread; `last_begun` gives a Unix time, 0 for none. Both may raise
        `QueueUnavailable`.
        """
        self._unread = unread
        self._last_begun = last_begun
        self._empty_at = time.time()

    async def __call__(self) -> float:
        """Raises `QueueUnavailable`."""
        asked_at = time.time()
        if not await asyncio.to_thread(self._unread):
            self._empty_at = asked_at
            return 0.0
        return max(0.0, time.time() - max(self._empty_at, await self._last_begun()))
