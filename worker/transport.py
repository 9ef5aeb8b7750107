"""Kombu's Redis transport, for workers that survive the loss of their connection.

Two things in kombu 5.7.0 do not. When Redis goes away while messages are unacknowledged, it tries to give them back
through the lost connection and fails with an `AttributeError`, which ends the worker ("Unrecoverable error"): here it
fails as Celery expects. And a message that could not be acknowledged, because Redis hung for that moment, counts as
unacknowledged for as long as the connection lasts: a slot less for each, until none is left in a worker that answers
pings. Here it counts as done.

And it builds a client of Redis for every message and every acknowledgement, which costs as much as the call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import structlog
from kombu.transport import virtual
from kombu.transport.redis import Channel, QoS, Transport

log = structlog.get_logger()


class LosableQoS(QoS):
    """What Redis was not told stays there and comes again after the visibility time-out, to a row that has ended."""

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except redis.RedisError as error:
            virtual.QoS.ack(self, delivery_tag)
            log.warning("message_not_acknowledged", cause=type(error).__name__)


class LosableChannel(Channel):
    """Once its connection is lost it takes part in nothing. The rows bring back what its messages were about."""

    QoS = LosableQoS
    _blocking_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)
        if self._blocking_client is None or self._blocking_client.connection_pool is not self.pool:
            self._blocking_client = super()._create_client()
        return self._blocking_client

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client is None and (self.connection is None or self.connection.client is None):
            raise redis.ConnectionError("The connection of this channel is lost.")
        with super().conn_or_acquire(client) as acquired:
            yield acquired

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        # What ran while the connection was lost is acknowledged afterwards; Celery logs a failure as critical.
        if not self.closed:
            super().basic_ack(delivery_tag, multiple=multiple)


class LosableTransport(Transport):
    Channel = LosableChannel
