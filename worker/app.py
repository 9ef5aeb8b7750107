"""The Celery app: queues, and every setting with its reason.

Celery carries ids and wakes threads; it keeps no truth. The rows do, and `sweep` brings back what Celery loses.
"""

from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu import Exchange
from kombu import Queue as KombuQueue

from connections.messages import (
    DELIVER_EVENTS,
    DISPATCH,
    END_SESSIONS,
    OPEN_SESSION,
    PRUNE,
    REFRESH_SESSIONS,
    SWEEP,
    Queue,
)
from connections.settings import Settings, load_settings
from messaging.broker import broker_settings

# What beat wakes: the task, after how many seconds again, and its queue.
_BEAT: Mapping[str, tuple[str, float, Queue]] = {
    "dispatch": (DISPATCH, 1.0, Queue.CONTROL),
    "sweep": (SWEEP, 2.0, Queue.CONTROL),
    "prune": (PRUNE, 60.0, Queue.CONTROL),
    "refresh": (REFRESH_SESSIONS, 1.0, Queue.UPKEEP),
    "end_sessions": (END_SESSIONS, 2.0, Queue.UPKEEP),
    "open_sessions": (OPEN_SESSION, 2.0, Queue.UPKEEP),
    "deliver_events": (DELIVER_EVENTS, 1.0, Queue.UPKEEP),
}
# A tick that waited longer is dropped, the next one does its work. Five minutes, because beat sets the date by its
# clock and the worker reads it by its own.
_TICK_EXPIRES_SECONDS = 300.0

# Without time-outs a half-open connection hangs the main loop for ever.
_ON_REDIS: Mapping[str, Any] = {
    "broker_transport": "worker.transport:LosableTransport",
    "broker_transport_options": {
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 5,
    },
}
_ON_RABBITMQ: Mapping[str, Any] = {
    "broker_connection_timeout": 3,
    # What a silent connection costs is twice as long.
    "broker_heartbeat": 10,
    "broker_transport_options": {
        "read_timeout": 5,
        "write_timeout": 5,
        # Who sends hears at once that it cannot be; the main loop and beat connect again on their own account.
        "max_retries": 0,
        # Sent is what RabbitMQ says it has taken.
        "confirm_publish": True,
        "client_properties": {"connection_name": "connector-worker"},
    },
    # A refused login, or a channel that RabbitMQ closes, while it starts again: that passes as well.
    "broker_channel_error_retry": True,
    # Celery would raise it again from a worker's thread, on a connection that only the main loop may use: the answer is
    # read by whoever comes first, and the main loop waits for it in vain.
    "worker_enable_prefetch_count_reduction": False,
    # Nobody asks workers anything that way, and its queues are of a kind that RabbitMQ wants to be rid of.
    "worker_enable_remote_control": False,
}


def create_app(settings: Settings) -> Celery:
    """Raises `SettingsError` when there is no Redis URL."""
    app = Celery("connector", task_cls="worker.edge:ContainedTask", include=["worker.tasks"])
    app.conf.update(celery_settings(settings))
    return app


def celery_settings(settings: Settings) -> dict[str, Any]:
    return {
        **broker_settings(settings),
        **(_ON_RABBITMQ if settings.broker_url else _ON_REDIS),
        # --- queues: all are consumed by every worker unless it is started with -Q.
        # Each has its own exchange and key: sharing them would put every message into all three.
        "task_queues": [KombuQueue(name, Exchange(name), routing_key=name) for name in map(str, Queue)],
        "task_default_queue": Queue.CONNECT.value,
        # A queue named by a stranger's message is a mistake, not a new queue.
        "task_create_missing_queues": False,
        # --- messages: not worth a disk, their rows are. JSON only, because pickle runs what it is sent.
        "task_default_delivery_mode": "transient",
        "task_serializer": "json",
        "accept_content": ["json"],
        # --- results: the outcome is in the table. A result that cannot be stored would leak the slot for good.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "result_backend": "disabled://",
        # --- pool: threads wait for upstreams in 83 MB where processes need gigabytes.
        "worker_pool": "worker.pool:BoundedThreads",
        "worker_concurrency": settings.worker_threads,
        # Prefetch is what makes a waiting caller queue behind a batch; 1 keeps a message back only per busy thread.
        "worker_prefetch_multiplier": 1,
        # --- delivery: RabbitMQ's message is gone only after its row was looked at, Redis' when it is taken.
        "task_acks_late": True,
        # --- reconnect for ever, at the start too: a worker that gave up would have to be started by hand.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A dropped connection re-delivers what runs; the claim makes that harmless, so let it finish.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # --- noise: no events (half a millisecond each), and logging is ours.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # --- beat: only wakes the housekeeping.
        "beat_scheduler": "worker.clock:Clock",  # in memory: there is nothing worth a file
        "beat_schedule": {
            name: {
                "task": task,
                "schedule": every,
                "options": {"queue": queue.value, "expires": _TICK_EXPIRES_SECONDS},
            }
            for name, (task, every, queue) in _BEAT.items()
        },
        "timezone": "UTC",
    }


app = create_app(load_settings())
