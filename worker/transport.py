"""Kombu's Redis transport, for workers that survive the loss of their connection and tell Redis no more than they must.

A message that was taken is gone from Redis: the rows bring back what was lost with its worker, so that nothing needs to
be written there for each message and erased for each that is done, in two round trips. What a worker that ends has not
begun it gives back.

Kombu 5.7.0 itself does not survive the loss. It tries to give back what runs through the lost connection and fails with
an `AttributeError`, which ends the worker ("Unrecoverable error"), or writes the messages to a file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import structlog
from kombu.transport import virtual
from kombu.transport.redis import Transport

from messaging.redis_transport import KeptClientChannel

log = structlog.get_logger()


class LosableQoS(virtual.QoS):
    """Knows what was taken and is not done, in this process only."""

    def restore_unacked(self) -> list[tuple[BaseException, Any]]:
        if errors := super().restore_unacked():
            log.warning("messages_not_given_back", messages=len(errors), cause=type(errors[0][0]).__name__)
        return []


class LosableChannel(KeptClientChannel):
    """Once its connection is lost it takes part in nothing. The rows bring back what its messages were about."""

    ack_emulation = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.QoS = LosableQoS

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
