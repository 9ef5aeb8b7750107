"""How many messages lie in each queue that no worker has taken, whichever broker carries them."""

import redis

from connections.messages import Queue
from connections.settings import Settings
from messaging.depth import QueueDepth, rabbitmq_depth, redis_depth


def unread_messages(settings: Settings, client: redis.Redis) -> dict[str, int]:
    """By the names of the queues. Raises `QueueUnavailable`."""
    if not settings.broker_url:
        return _counted(redis_depth(client))
    from worker.app import create_app

    with create_app(settings) as app:
        return _counted(rabbitmq_depth(app))


def _counted(depth: QueueDepth) -> dict[str, int]:
    return dict(zip(map(str, Queue), depth(*Queue), strict=True))
