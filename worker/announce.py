"""Tells the API process whose caller waits that a task is settled."""

import redis
import structlog

from connections.messages import reply_channel

log = structlog.get_logger()


class Announcer:
    """One per worker process, used by its threads."""

    def __init__(self, redis_url: str) -> None:
        # Short time-outs and few connections: an announcement is a courtesy, the table is asked anyway.
        self._pool = redis.BlockingConnectionPool.from_url(
            redis_url, max_connections=8, timeout=1, socket_timeout=2, socket_connect_timeout=1
        )
        self._redis = redis.Redis(connection_pool=self._pool)

    def settled(self, task_id: str, reply_to: str | None) -> None:
        """Never raises for Redis: an announcement that is lost costs the caller a second, not the answer."""
        if reply_to is None:
            return
        try:
            self._redis.publish(reply_channel(reply_to), task_id)
        except redis.RedisError as error:
            log.warning("announcement_lost", task_id=task_id, cause=type(error).__name__)

    def close(self) -> None:
        self._redis.close()
        self._pool.disconnect()
