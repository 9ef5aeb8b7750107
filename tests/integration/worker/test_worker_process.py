"""A real Celery worker on a real Valkey: what only the process as a whole can show."""

import signal
from pathlib import Path

import pytest
from celery import Celery

from connections.contract import TaskStatus
from connections.messages import CONNECT_ACCOUNT, Queue
from connections.settings import Settings
from tests.integration.worker.stack import Stack
from tests.processes import beat_command, running, worker_command
from tests.servers import wait_until

ON_EITHER = pytest.mark.parametrize("stack", ["sqlite", "rabbitmq"], indirect=True)


@ON_EITHER
def test_a_message_goes_into_its_queue_and_no_other(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    from worker.app import create_app  # noqa: PLC0415  reads the settings when imported

    app = create_app(Settings())
    for number, queue in enumerate(Queue, start=1):
        app.send_task(CONNECT_ACCOUNT, args=["ct_1"], queue=queue.value)
        assert [stack.depth(name) for name in Queue] == [int(place < number) for place in range(len(Queue))]
    app.close()


@ON_EITHER
@pytest.mark.parametrize("queue", list(Queue))
def test_every_queue_is_consumed(stack: Stack, queue: Queue) -> None:
    with stack.worker(), Celery(broker=stack.broker_url, set_as_current=False) as producer:
        task_id = stack.accept()
        producer.send_task(CONNECT_ACCOUNT, args=[task_id], queue=queue.value)
        wait_until(lambda: stack.status(task_id).is_final, what="the task to end")


@ON_EITHER
def test_strange_messages_take_no_slot(stack: Stack) -> None:
    """With one thread, a single leaked slot would stop the worker for good."""
    with stack.worker("--threads", "1"):
        for arguments in ([], [None], [{"id": "x"}], ["ct_nowhere"], ["a", "b"]):
            stack.send(CONNECT_ACCOUNT, *arguments)
        stack.send("connector.no_such_task")
        task_id = stack.accept()
        stack.send(CONNECT_ACCOUNT, task_id)
        wait_until(lambda: stack.status(task_id) is TaskStatus.FAILED, what="the task behind the strange messages")


@ON_EITHER
def test_a_task_whose_message_was_lost_is_found_by_the_sweep(stack: Stack) -> None:
    task_id = stack.accept()
    with stack.worker(), running(beat_command(), environment=stack.environment, log=stack.log):
        wait_until(lambda: stack.status(task_id).is_final, what="the sweep to find the task", seconds=40)


@ON_EITHER
def test_sigterm_ends_a_worker_cleanly(stack: Stack) -> None:
    with stack.worker() as worker:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0

    # Nothing but lines of the log: production reads them as JSON.
    events = [line.split("]", 1)[1].split()[0] for line in stack.log.read_text().splitlines()]
    assert events == ["worker_ready", "worker_stopping", "worker_stopped"]


def test_a_worker_without_its_settings_says_so_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with running(worker_command(), environment={"CONNECTOR_REDIS_URL": ""}, log=log) as process:
        assert process.wait(20) == 2

    (line,) = log.read_text().splitlines()
    assert "CONNECTOR_REDIS_URL" in line
