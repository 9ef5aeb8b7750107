"""How many messages lie in each queue that no worker has taken, whichever broker carries them."""

import redis

from connections.messages import Queue
from connections.settings import Settings


def unread_messages(settings: Settings, client: redis.Redis) -> dict[str, int]:
    """By the names of the queues. Raises redis-py's errors or, of RabbitMQ, `QueueUnavailable`."""
    if settings.broker_url:
        return dict(zip(map(str, Queue), _in_rabbitmq(settings), strict=True))
    with client.pipeline(transaction=False) as pipeline:
        for queue in Queue:
            pipeline.llen(queue)
        return dict(zip(map(str, Queue), pipeline.execute(), strict=True))


def _in_rabbitmq(settings: Settings) -> list[int]:
    from messaging.depth import rabbitmq_depth
    from worker.app import create_app

    with create_app(settings) as app:
        return list(rabbitmq_depth(app)(*Queue))
