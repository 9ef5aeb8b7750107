"""Sends tasks to the workers: the producing half of Celery, with nothing of the worker in it.

Blocking, 0.5 to 0.8 ms on Redis when all is well; call it from a thread. Fails within about two seconds: the task is
stored before, and the sweep sends what could not be sent.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue
from kombu.pools import ProducerPool

from connections.errors import QueueUnavailable
from connections.grouped import Grouped
from connections.messages import CONNECT_ACCOUNT, DISPATCH, END_SESSIONS, OPEN_SESSION, SENT_AT, Queue
from connections.service import FIRST_SWEEP_SECONDS
from connections.settings import Settings
from messaging.broker import broker_settings
from messaging.depth import declared
from messaging.producing import producing

# While the broker hangs, every try costs a thread two seconds. After a failure nobody tries for this long, so that
# callers in the hundreds learn of it together instead of one threadful after the other.
_COOL_DOWN_SECONDS = 1.0

# More than there are threads, so that none waits for another's.
_CONNECTIONS = 32
_ACQUIRE_SECONDS = 1.0

# --- fail fast. kombu connects on its own account, and by default again and again.
_CONNECT: Mapping[str, Any] = {"max_retries": 0, "connect_retries_timeout": 2}
# Without time-outs a frozen broker would hold the thread until it thaws.
_ON_REDIS: Mapping[str, Any] = {
    "broker_transport": "messaging.redis_transport:KeptClientTransport",
    "broker_transport_options": {
        **_CONNECT,
        "socket_timeout": 2,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
    },
}
_ON_RABBITMQ: Mapping[str, Any] = {
    # With TLS it is that of every answer.
    "broker_connection_timeout": 1,
    "broker_transport_options": {
        **_CONNECT,
        "read_timeout": 2,
        "write_timeout": 2,
        # Sent is what RabbitMQ says it has taken.
        "confirm_publish": True,
        "client_properties": {"connection_name": "connector-api"},
    },
}


class TaskQueue(Protocol):
    """Where accepted tasks go."""

    def send(self, task_id: str) -> None:
        """Raises `QueueUnavailable`."""

    def ask_for_dispatch(self) -> None:
        """Wants rows of batches to be sent now rather than within a second. Raises `QueueUnavailable`."""

    def ask_for_session(self, request_id: str) -> None:
        """Wants a request for a session to be answered. Raises `QueueUnavailable`."""

    def ask_to_end_sessions(self) -> None:
        """Wants sessions to be ended now rather than within some seconds. Raises `QueueUnavailable`."""

    def unread(self) -> int:
        """How many messages of connects no worker has taken. Raises `QueueUnavailable`."""
        ...

    def close(self) -> None: ...


class CeleryQueue:
    """One per process, used by its threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` when there is no Redis URL."""
        # Not the current app: that name belongs to a worker, should one ever share the process.
        self._app = Celery("connector-api", set_as_current=False)
        self._app.conf.update(celery_settings(settings))
        # Pools of its own: Celery's are shared with every app of this URL in the process, so they cannot be closed.
        self._connections = self._app.connection_for_write().Pool(_CONNECTIONS)
        self._producers = ProducerPool(self._connections, limit=_CONNECTIONS)
        self._silent_until = 0.0
        self._send_grouped = Grouped(self._send_all)

    def send(self, task_id: str) -> None:
        """Raises `QueueUnavailable` when the broker does not take the message: then the sweep will send it."""
        try:
            self._send_grouped(task_id)
        except QueueUnavailable as error:
            raise QueueUnavailable(details={"task_id": task_id}, retry_after=FIRST_SWEEP_SECONDS) from error

    def ask_for_dispatch(self) -> None:
        """See `TaskQueue`. Missed by nobody: a dispatcher runs every second."""
        self._put(DISPATCH, Queue.CONTROL, {})

    def ask_for_session(self, request_id: str) -> None:
        """See `TaskQueue`. When the message is lost, workers find the request by themselves."""
        self._put(OPEN_SESSION, Queue.UPKEEP, {"args": [request_id]})

    def ask_to_end_sessions(self) -> None:
        """See `TaskQueue`. Missed by nobody: beat asks all the time."""
        self._put(END_SESSIONS, Queue.UPKEEP, {})

    def _send_all(self, task_ids: Sequence[str]) -> Sequence[None]:
        self._put(CONNECT_ACCOUNT, Queue.CONNECT, *({"args": [task_id], "task_id": task_id} for task_id in task_ids))
        return [None] * len(task_ids)

    def _put(self, task: str, queue: Queue, *messages: Mapping[str, Any]) -> None:
        """All of them in one round trip of Redis. When it fails some may have been taken; those come twice, which is
        no harm.
        """
        # Mandatory, or RabbitMQ would confirm what it drops because somebody has deleted the queue.
        options = {"headers": {SENT_AT: time.time()}, "mandatory": True}
        with self._producing() as producer, producer.batch():
            for message in messages:
                self._app.send_task(task, queue=queue.value, producer=producer, **options, **message)

    def unread(self) -> int:
        """See `TaskQueue`."""
        with self._producing() as producer:
            return declared(self._app, producer, Queue.CONNECT)[0]

    @contextmanager
    def _producing(self) -> Iterator[Any]:
        if time.monotonic() < self._silent_until:
            raise QueueUnavailable
        try:
            with producing(self._producers, timeout=_ACQUIRE_SECONDS) as producer:
                yield producer
        except QueueUnavailable:
            self._silent_until = time.monotonic() + _COOL_DOWN_SECONDS
            raise

    def close(self) -> None:
        self._producers.force_close_all()
        self._connections.force_close_all()
        self._app.close()


def celery_settings(settings: Settings) -> dict[str, Any]:
    return {
        **broker_settings(settings),
        **(_ON_RABBITMQ if settings.broker_url else _ON_REDIS),
        # The same exchange and key as the worker's: a binding of another name would be a second way into the queue.
        "task_queues": [
            KombuQueue(name, Exchange(name), routing_key=name)
            for name in (Queue.CONNECT.value, Queue.CONTROL.value, Queue.UPKEEP.value)
        ],
        # A misspelt queue is a mistake to hear of now, not a queue that nobody reads.
        "task_create_missing_queues": False,
        # Not worth a disk: the row is. JSON only, because pickle runs what it is sent.
        "task_default_delivery_mode": "transient",
        "task_serializer": "json",
        "accept_content": ["json"],
        # The outcome is in the table. A Redis result store would subscribe for each message, and turn 0.6 seconds
        # without Redis into 19.
        "result_backend": "disabled://",
        "task_ignore_result": True,
        # Fail fast: somebody waits, and the sweep repeats better than a caller's thread could.
        "task_publish_retry": False,
        "broker_connection_max_retries": 0,
        # Half a millisecond for an event that nobody reads.
        "task_send_sent_event": False,
    }
