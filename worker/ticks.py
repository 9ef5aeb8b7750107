"""Lets others know that beat lives, and that workers read what it sends: when its last tick was followed.

Nobody but beat wakes the sweep, so what the sweep leaves is beat's trace.
"""

import redis
import structlog

log = structlog.get_logger()

# Ends by itself; what is left of its life tells its age, by the server's clock.
_KEY = "connector:ticked"
_KEPT_SECONDS = 3600


class Ticks:
    """One per worker process, used by its threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def note(self) -> None:
        """A tick is followed now. Never raises for Redis: what the tick is for is worth more than its trace."""
        try:
            self._redis.set(_KEY, "1", ex=_KEPT_SECONDS)
        except redis.RedisError as error:
            log.debug("tick_not_noted", cause=type(error).__name__)


def seconds_since_tick(client: redis.Redis) -> float | None:
    """How long ago a worker followed a tick of beat; None when that was longer ago than an hour, or before Redis was
    emptied. Raises `redis.RedisError`.
    """
    left = int(client.pttl(_KEY))  # milliseconds; negative when there is no such key
    return None if left < 0 else _KEPT_SECONDS - left / 1000
