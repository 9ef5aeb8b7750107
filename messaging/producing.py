"""Lends what messages are sent with: on a connection that lives, and with one error for whatever goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import KombuError
from kombu.pools import ProducerPool
from redis.exceptions import RedisError

from connections.errors import QueueUnavailable


@contextmanager
def producing(producers: ProducerPool, *, timeout: float | None = None) -> Iterator[Any]:
    """A kombu `Producer` for the length of the block, after `timeout` seconds at the latest.

    Raises `QueueUnavailable` when there is none, and for what the broker or the way to it does wrong in the block.
    """
    try:
        with producers.acquire(block=True, timeout=timeout) as producer, _sound(producer.connection):
            yield producer
    except (KombuError, RedisError, *_failures(producers)) as error:
        raise QueueUnavailable from error


def _failures(producers: ProducerPool) -> tuple[type[Exception], ...]:
    """Of this kind of broker. What RabbitMQ does not take is only among those that kombu would try again."""
    broker = producers.connections.connection
    failures: tuple[type[Exception], ...] = broker.connection_errors + broker.channel_errors
    return failures + tuple(broker.recoverable_connection_errors)


@contextmanager
def _sound(connection: Any) -> Iterator[None]:
    """Drops an AMQP connection that the broker has ended, or on which anything failed; the next use opens it anew.

    Nobody listens to a connection that only sends, so that it would be known for dead by the message it loses. And an
    answer that comes late would be taken for that to the next message. With Redis redis-py sees to both.
    """
    if connection.transport.driver_type != "amqp":
        yield
        return
    if connection.connected and _has_ended(connection):
        connection.collect()
    try:
        yield
    except BaseException:
        connection.collect()
        raise


def _has_ended(connection: Any) -> bool:
    try:
        connection.drain_events(timeout=0)
    except TimeoutError:
        return False
    except (*connection.connection_errors, *connection.channel_errors):
        return True
    return False
