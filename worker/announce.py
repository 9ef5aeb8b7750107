"""Tells the API process whose caller waits that a task is settled."""

import redis
import structlog

from connections import tracing
from connections.messages import reply_channel
from connections.tracing import Kind

log = structlog.get_logger()


class Announcer:
    """One per worker process, used by its threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def settled(self, task_id: str, reply_to: str | None) -> None:
        """Never raises for Redis: an announcement that is lost costs the caller a second, not the answer."""
        if reply_to is None:
            return
        try:
            with tracing.span("announce", Kind.PRODUCER):
                self._redis.publish(reply_channel(reply_to), task_id)
        except redis.RedisError as error:
            log.warning("announcement_lost", task_id=task_id, cause=type(error).__name__)
