"""What sends is lent with a connection that lives, and gives one error."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from amqp.exceptions import AccessRefused, ConnectionForced, MessageNacked, PreconditionFailed
from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue
from kombu.exceptions import OperationalError
from kombu.pools import ProducerPool
from kombu.transport.pyamqp import Transport
from redis.exceptions import ResponseError

from connections.errors import QueueUnavailable
from connections.messages import Queue
from messaging.depth import declared
from messaging.producing import producing


class Connection:
    """Of AMQP; `says` is what comes when it is listened to."""

    connection_errors = Transport.connection_errors
    channel_errors = Transport.channel_errors
    recoverable_connection_errors = Transport.recoverable_connection_errors
    transport = Transport

    def __init__(self, says: Exception | None = None) -> None:
        self.connected = True
        self.collected = 0
        self._says = says or TimeoutError()

    def drain_events(self, *, timeout: float) -> None:
        assert timeout == 0
        raise self._says

    def collect(self) -> None:
        self.connected = False
        self.collected += 1


class Producers:
    """A pool of one."""

    def __init__(self, connection: Connection) -> None:
        self.connections = self
        self.connection = connection

    @contextmanager
    def acquire(self, *, block: bool, timeout: float | None) -> Iterator["Producers"]:
        yield self


def producers(connection: Connection) -> ProducerPool:
    return cast(ProducerPool, Producers(connection))


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        ConnectionForced(),
        MessageNacked(),
        AccessRefused(),
        PreconditionFailed(),
        OperationalError(),
        ResponseError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_goes_wrong_is_one_error_and_the_connection_is_not_used_again(error: Exception) -> None:
    connection = Connection()
    with pytest.raises(QueueUnavailable), producing(producers(connection)):
        raise error
    assert connection.collected == 1


def test_a_bug_stays_what_it_is_and_costs_the_connection_too() -> None:
    connection = Connection()
    with pytest.raises(KeyError), producing(producers(connection)):
        raise KeyError
    assert connection.collected == 1


def test_one_that_lives_is_kept() -> None:
    connection = Connection()
    with producing(producers(connection)):
        pass
    assert connection.connected


@pytest.mark.parametrize("says", [OSError("closed"), ConnectionForced()], ids=["cut off", "told to end"])
def test_one_that_the_broker_has_ended_is_opened_anew_before_it_is_used(says: Exception) -> None:
    connection = Connection(says)
    with producing(producers(connection)):
        assert connection.collected == 1


def test_messages_are_counted_where_a_queue_is_declared() -> None:
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.task_queues = [KombuQueue(name, Exchange(name), routing_key=name) for name in map(str, Queue)]
    for _ in range(3):
        app.send_task("connector.any", queue=Queue.BULK.value)

    with producing(app.producer_pool) as producer:
        assert declared(app, producer, *Queue) == [0, 3, 0, 0]
    app.close()
