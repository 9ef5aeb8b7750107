"""Beat's messages reach a worker that knows them."""

import pytest
from celery import Celery
from sqlalchemy import func, select, update

from connections.contract import TaskStatus
from connections.messages import PRUNE, Queue
from connections.models import connect_tasks
from connections.settings import Settings
from connections.sqltime import from_now
from tests.integration.worker.stack import Stack
from tests.servers import wait_until


def test_a_worker_prunes_when_told(stack: Stack) -> None:
    stack.accept()
    with stack.database.write() as connection:
        connection.execute(update(connect_tasks).values(status=TaskStatus.FAILED, finished_at=from_now(-31 * 86400.0)))
    with stack.worker(), Celery(broker=stack.valkey.url, set_as_current=False) as producer:
        producer.send_task(PRUNE, queue=Queue.CONTROL.value)
        wait_until(lambda: tasks_of(stack) == 0, what="the task to be pruned")


def test_every_message_of_beat_is_one_that_workers_know(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    from worker import tasks  # noqa: PLC0415  reads the settings when imported
    from worker.app import celery_settings  # noqa: PLC0415

    schedule = celery_settings(Settings())["beat_schedule"]
    assert {entry["task"] for entry in schedule.values()} <= set(tasks.prune.app.tasks)
    assert {entry["options"]["queue"] for entry in schedule.values()} <= {Queue.CONTROL.value, Queue.UPKEEP.value}


def tasks_of(stack: Stack) -> int:
    with stack.database.read() as connection:
        return connection.execute(select(func.count()).select_from(connect_tasks)).scalar_one()
