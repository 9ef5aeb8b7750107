"""A real Celery worker on a real Valkey: what only the process as a whole can show."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery

from connections.contract import TaskStatus
from connections.db import Database
from connections.messages import CONNECT_ACCOUNT, WORKER_ALIVE_KEY, Queue
from connections.service import ConnectService
from connections.settings import Settings
from connections.vault import Sealer, ShimKeys, ensure_development_keys
from tests.factories import Tenant, connect_command, make_tenant
from tests.processes import beat_command, running, worker_command
from tests.servers import Valkey, running_valkey, wait_until


class Stack:
    """A database, a Valkey and whatever processes a test starts on them."""

    def __init__(self, valkey: Valkey, database_url: str, directory: Path) -> None:
        self.valkey = valkey
        # Nothing listens there: every attempt fails at once, and no packet leaves the machine.
        nowhere = "http://127.0.0.1:1"
        self.environment = {
            "CONNECTOR_REDIS_URL": valkey.url,
            "CONNECTOR_DATABASE_URL": database_url,
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DEV_PDS_URL": nowhere,
            "CONNECTOR_PLC_URL": nowhere,
        }
        settings = Settings(var_dir=directory / "var")
        ensure_development_keys(settings)
        self.database = Database(database_url)
        self.service = ConnectService(self.database, Sealer(ShimKeys.load(settings.shim_keys_path, settings)), settings)
        self.tenant: Tenant = make_tenant(self.database)
        self.log = directory / "worker.log"

    def accept(self, *, wait: float = 25) -> str:
        return self.service.accept(
            self.tenant.caller, connect_command(), request_id="req_1", reply_to="shim_1", wait=wait
        ).task_id

    def status(self, task_id: str) -> TaskStatus:
        return self.service.task(self.tenant.caller, task_id).status

    @contextmanager
    def worker(self, *options: str) -> Iterator[None]:
        with running(worker_command(*options), environment=self.environment, log=self.log) as process:
            self.process = process
            wait_until(lambda: self.valkey.has(WORKER_ALIVE_KEY), what="the worker's heartbeat")
            yield

    def send(self, task: str, *arguments: object) -> None:
        with Celery(broker=self.valkey.url, set_as_current=False) as producer:
            producer.send_task(task, args=arguments, queue=Queue.CONNECT.value)


@pytest.fixture
def stack(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    with running_valkey(tmp_path) as valkey:
        stack = Stack(valkey, sqlite_url, tmp_path)
        yield stack
        stack.database.close()


def test_a_message_goes_into_its_queue_and_no_other(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    from worker.app import create_app  # noqa: PLC0415  reads the settings when imported

    app = create_app(Settings())
    with stack.valkey.client() as client:
        for queue in Queue:
            app.send_task(CONNECT_ACCOUNT, args=["ct_1"], queue=queue.value)
            assert {name: client.llen(name) for name in Queue} == {name: int(name == queue) for name in Queue}
            client.delete(queue)
    app.close()


@pytest.mark.parametrize("queue", list(Queue))
def test_every_queue_is_consumed(stack: Stack, queue: Queue) -> None:
    with stack.worker(), Celery(broker=stack.valkey.url, set_as_current=False) as producer:
        task_id = stack.accept()
        producer.send_task(CONNECT_ACCOUNT, args=[task_id], queue=queue.value)
        wait_until(lambda: stack.status(task_id).is_final, what="the task to end")


def test_strange_messages_take_no_slot(stack: Stack) -> None:
    """With one thread, a single leaked slot would stop the worker for good."""
    with stack.worker("--threads", "1"):
        for arguments in ([], [None], [{"id": "x"}], ["ct_nowhere"], ["a", "b"]):
            stack.send(CONNECT_ACCOUNT, *arguments)
        stack.send("connector.no_such_task")
        task_id = stack.accept()
        stack.send(CONNECT_ACCOUNT, task_id)
        wait_until(lambda: stack.status(task_id) is TaskStatus.FAILED, what="the task behind the strange messages")


def test_a_task_whose_message_was_lost_is_found_by_the_sweep(stack: Stack) -> None:
    task_id = stack.accept()
    with stack.worker(), running(beat_command(), environment=stack.environment, log=stack.log):
        wait_until(lambda: stack.status(task_id).is_final, what="the sweep to find the task", seconds=40)


def test_sigterm_ends_a_worker_cleanly(stack: Stack) -> None:
    with stack.worker():
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(20) == 0

    # Nothing but lines of the log: production reads them as JSON.
    events = [line.split("]", 1)[1].split()[0] for line in stack.log.read_text().splitlines()]
    assert events == ["worker_ready", "worker_stopped"]


def test_a_worker_without_its_settings_says_so_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with running(worker_command(), environment={"CONNECTOR_REDIS_URL": ""}, log=log) as process:
        assert process.wait(20) == 2

    (line,) = log.read_text().splitlines()
    assert "CONNECTOR_REDIS_URL" in line
