"""The tasks: read an id, make one call. What they work with is built once per process."""

import os
import signal
import time
from collections.abc import Sequence
from functools import cache, partial
from types import FrameType
from typing import Any

import structlog
from celery.signals import setup_logging, worker_init, worker_ready, worker_shutdown

from connections import tracing
from connections.messages import (
    CONNECT_ACCOUNT,
    CONNECT_ACCOUNTS,
    DELIVER_EVENTS,
    DISPATCH,
    END_SESSIONS,
    OPEN_SESSION,
    PRUNE,
    REFRESH_SESSIONS,
    SENT_AT,
    SWEEP,
    Queue,
)
from connections.settings import load_settings
from messaging.depth import queue_depth
from messaging.producing import producing
from worker import process
from worker.app import app
from worker.bootstrap import Worker, build_worker
from worker.running import RUNNING
from worker.watchdog import TICK_SECONDS

log = structlog.get_logger()


@app.task(name=CONNECT_ACCOUNT)
def connect_account(task_id: str) -> None:
    worker().last_begun.note(connect_account.request.get(SENT_AT))
    worker().performer.perform(task_id)


@app.task(name=CONNECT_ACCOUNTS)
def connect_accounts(task_ids: list[str]) -> None:
    worker().performer.perform_rows(task_ids)
    worker().dispatcher.ask()


@app.task(name=DISPATCH)
def dispatch() -> None:
    worker().dispatcher.dispatch()


@app.task(name=SWEEP)
def sweep() -> None:
    worker().ticks.note()
    worker().sweeper.sweep()


@app.task(name=PRUNE)
def prune() -> None:
    worker().pruner.prune()


@app.task(name=DELIVER_EVENTS)
def deliver_events() -> None:
    worker().deliverer.deliver()


@app.task(name=END_SESSIONS)
def end_sessions() -> None:
    worker().ender.end_sessions()


@app.task(name=REFRESH_SESSIONS)
def refresh_sessions() -> None:
    worker().refresher.refresh_due()


@app.task(name=OPEN_SESSION)
def open_session(request_id: str | None = None) -> None:
    """Without an id, as beat sends it, those whose message or whose worker was lost."""
    if request_id is None:
        worker().session_opener.open_overdue()
    else:
        worker().session_opener.open(request_id)


@cache
def worker() -> Worker:
    """This process's worker. `worker_init` calls it first, before any thread does."""
    settings = load_settings()
    return build_worker(
        settings,
        send,
        send_rows,
        ask_for_dispatch,
        partial(queue_depth, settings, app),
        ask_for_refresh=ask_for_refresh,
    )


def send(task_id: str, queue: Queue) -> None:
    """Raises `QueueUnavailable` when the broker does not take the message."""
    _put(connect_account, queue, args=[task_id], task_id=task_id)


def send_rows(messages: Sequence[Sequence[str]]) -> None:
    """All messages in one round trip of Redis. Raises `QueueUnavailable` when the broker does not take some of them."""
    with producing(app.producer_pool) as producer, producer.batch():
        for task_ids in messages:
            _send(connect_accounts, Queue.BULK, producer, args=[list(task_ids)])


def ask_for_dispatch() -> None:
    """Raises `QueueUnavailable` when the broker does not take the message."""
    _put(dispatch, Queue.CONTROL)


def ask_for_refresh() -> None:
    """Raises `QueueUnavailable` when the broker does not take the message."""
    _put(refresh_sessions, Queue.UPKEEP)


def _put(task: Any, queue: Queue, **message: Any) -> None:
    with producing(app.producer_pool) as producer:
        _send(task, queue, producer, headers={SENT_AT: time.time()}, **message)


def _send(task: Any, queue: Queue, producer: Any, **message: Any) -> None:
    """Mandatory, or RabbitMQ would confirm what it drops because somebody has deleted the queue."""
    task.apply_async(queue=queue.value, producer=producer, retry=False, mandatory=True, **message)


@worker_init.connect
def _build(**_: Any) -> None:
    worker()


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    # Celery's own handlers write to stdout past every logger.
    signal.signal(signal.SIGTERM, _finish)
    signal.signal(signal.SIGINT, _finish)
    sender.timer.call_repeatedly(TICK_SECONDS, worker().watchdog.tick)
    worker().watchdog.start(is_connected=lambda: sender.connection is not None)
    log.info("worker_ready")


def _finish(_number: int, _frame: FrameType | None) -> None:
    """Takes no further message; the process ends, with status 0, when what runs is done. Once more: soon."""
    if process.is_stopping():
        worker().shutdown.hurry()
    process.stop(0)


@worker_shutdown.connect
def _stop(sender: Any, **_: Any) -> None:
    tracing.flush()
    if RUNNING:
        # Python would wait for these threads. Nothing is closed under them, lest an attempt fail for it.
        log.warning("worker_stopped", unfinished=len(RUNNING.by_thread()))
        os._exit(sender.exitcode)
    worker().close()
    log.info("worker_stopped")


@setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Keeps Celery from setting up logging: whoever started the process has, with `connections.logs`."""
