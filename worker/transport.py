"""Kombu's Redis transport, for workers that survive the loss of their connection.

When Redis goes away while messages are unacknowledged, kombu 5.7.0 tries to give them back through the lost connection
and fails with an `AttributeError`, which ends the worker ("Unrecoverable error"). Here it fails as Celery expects.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.transport.redis import Channel, Transport


class LosableChannel(Channel):
    """Once its connection is lost it takes part in nothing. The rows bring back what its messages were about."""

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
