"""How many messages lie in a queue that no worker has taken."""

from collections.abc import Sequence
from typing import Any, Protocol

import redis
from celery import Celery

from connections.errors import QueueUnavailable
from connections.messages import Queue
from connections.settings import Settings
from messaging.producing import producing


class QueueDepth(Protocol):
    """How many in each of these queues. Raises `QueueUnavailable`."""

    def __call__(self, *queues: Queue) -> Sequence[int]: ...


def queue_depth(settings: Settings, app: Celery, client: redis.Redis) -> QueueDepth:
    """The way to count at the broker that the settings name. `app` has the queues, `client` is one of Redis."""
    return rabbitmq_depth(app) if settings.broker_url else redis_depth(client)


def declared(app: Celery, producer: Any, *queues: Queue) -> list[int]:
    """The counts that RabbitMQ gives when a queue is declared, which makes one that nobody has used yet."""
    return [app.amqp.queues[queue].bind(producer.channel).queue_declare().message_count for queue in queues]


def rabbitmq_depth(app: Celery) -> QueueDepth:
    def depth(*queues: Queue) -> list[int]:
        with producing(app.producer_pool) as producer:
            return declared(app, producer, *queues)

    return depth


def redis_depth(client: redis.Redis) -> QueueDepth:
    def depth(*queues: Queue) -> list[int]:
        try:
            with client.pipeline(transaction=False) as pipeline:
                for queue in queues:
                    pipeline.llen(queue)
                return pipeline.execute()
        except redis.RedisError as error:
            raise QueueUnavailable from error

    return depth
