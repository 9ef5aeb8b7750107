"""Lets the API know that at least one worker makes progress."""

import redis
import structlog

from connections.messages import WORKER_ALIVE_KEY

log = structlog.get_logger()

_ALIVE_FOR_SECONDS = 10


class Heartbeat:
    """A key in Redis that ends by itself, and is never deleted, because another worker may renew it."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def beat(self, *, renew: bool) -> bool:
        """Renews the key, or only asks for a sign of life. False when Redis gives none."""
        try:
            if renew:
                self._redis.set(WORKER_ALIVE_KEY, "1", ex=_ALIVE_FOR_SECONDS)
            else:
                self._redis.ping()
        except redis.RedisError as error:
            log.debug("heartbeat_missed", cause=type(error).__name__)
            return False
        return True
