"""How far the workers have got in the queue of those who wait, for API processes that cannot look into it (ADR 25)."""

import time

import redis
import structlog

from connections.messages import LAST_BEGUN_KEY

log = structlog.get_logger()

_AT_MOST_EVERY_SECONDS = 0.1
# Whoever reads it knows by itself what is older.
_KEPT_SECONDS = 60


class LastBegun:
    """One per worker process, used by its threads."""

    def __init__(self, client: redis.Redis, *, is_asked_for: bool) -> None:
        """Where nobody asks for it nothing is kept."""
        self._redis = client
        self._next_at = 0.0 if is_asked_for else float("inf")

    def note(self, sent_at: float | None) -> None:
        """A message is begun that was sent at this Unix time. One that does not say is of an older version."""
        if sent_at is None or (now := time.monotonic()) < self._next_at:
            return
        self._next_at = now + _AT_MOST_EVERY_SECONDS
        try:
            self._redis.set(LAST_BEGUN_KEY, sent_at, ex=_KEPT_SECONDS)
        except redis.RedisError as error:
            log.debug("last_begun_not_told", cause=type(error).__name__)
