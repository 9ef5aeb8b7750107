"""A database, a Valkey and whatever worker processes a test starts on them."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from connections.contract import TaskStatus
from connections.db import Database
from connections.messages import CONNECT_ACCOUNT, SENT_AT, WORKER_ALIVE_KEY, Queue
from connections.repository.tasks import TaskRow
from connections.service import ConnectService
from connections.settings import Settings
from connections.vault import Sealer, ShimKeys, ensure_development_keys
from tests.factories import Tenant, connect_command, make_tenant
from tests.processes import running, worker_command
from tests.rabbit import Rabbit
from tests.servers import Valkey, wait_until

Process = subprocess.Popen[bytes]

THREADS = 4  # of a staged worker


class Stack:
    """The rows and messages of the API, without the API."""

    def __init__(self, valkey: Valkey, database_url: str, directory: Path, rabbit: Rabbit | None = None) -> None:
        self.valkey, self.rabbit = valkey, rabbit
        self.broker_url = rabbit.url if rabbit else valkey.url
        # Nothing listens there: every attempt fails at once, and no packet leaves the machine.
        nowhere = "http://127.0.0.1:1"
        self.environment = {
            "CONNECTOR_REDIS_URL": valkey.url,
            "CONNECTOR_BROKER_URL": rabbit.url if rabbit else "",
            "CONNECTOR_DATABASE_URL": database_url,
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DEV_PDS_URL": nowhere,
            "CONNECTOR_PLC_URL": nowhere,
        }
        settings = Settings(var_dir=directory / "var")
        ensure_development_keys(settings)
        self.database = Database(database_url)
        self.sealer = Sealer(ShimKeys.load(settings.shim_keys_path, settings))
        self.service = ConnectService(self.database, self.sealer, settings)
        self.tenant: Tenant = make_tenant(self.database)
        self.directory = directory
        self.log = directory / "worker.log"

    def accept(self, *, wait: float = 25, identifier: str = "alice.test") -> str:
        return self.service.accept(
            self.tenant.caller, connect_command(identifier), request_id="req_1", reply_to="shim_1", wait=wait
        ).task_id

    def submit(self, identifier: str) -> str:
        """Accepts a request and sends its message, as the API does."""
        task_id = self.accept(identifier=identifier)
        self.send(CONNECT_ACCOUNT, task_id)
        return task_id

    def send(self, task: str, *arguments: object) -> None:
        with Celery(broker=self.broker_url, set_as_current=False) as producer:
            producer.send_task(task, args=arguments, queue=Queue.CONNECT.value, headers={SENT_AT: time.time()})

    def depth(self, queue: Queue) -> int:
        """How many messages lie there."""
        if self.rabbit is not None:
            return self.rabbit.depth(queue)
        with self.valkey.client() as client:
            return int(client.llen(queue))

    def lose_messages(self) -> None:
        """Kills the broker, Redis in any case, and starts it anew, until the worker is back."""
        for server in (self.valkey, self.rabbit):
            if server is not None:
                server.stop()
                server.start()
        wait_until(self.is_consumed, what="the worker to be back")

    def is_consumed(self) -> bool:
        """Whether a worker has declared the queues since Redis was empty; until then messages find none."""
        if self.rabbit is not None:
            return self.rabbit.consumers(Queue.CONNECT) > 0
        return self.valkey.has(f"_kombu.binding.{Queue.CONNECT}")

    def task(self, task_id: str) -> TaskRow:
        return self.service.task(self.tenant.caller, task_id)

    def status(self, task_id: str) -> TaskStatus:
        return self.task(task_id).status

    def wait_for(self, status: TaskStatus, *task_ids: str, seconds: float = 20) -> None:
        def have_it() -> bool:
            return {self.status(task_id) for task_id in task_ids} == {status}

        wait_until(have_it, what=f"tasks to be {status}", seconds=seconds)

    @contextmanager
    def worker(self, *options: str) -> Iterator[Process]:
        """The worker that the product starts."""
        with running(worker_command(*options), environment=self.environment, log=self.log) as process:
            wait_until(lambda: self.valkey.has(WORKER_ALIVE_KEY), what="the worker's heartbeat")
            yield process

    @contextmanager
    def staged_worker(
        self, *stage: str, limits: Mapping[str, float] | None = None, grace: float = 1, name: str = "staged"
    ) -> Iterator[Process]:
        """A worker whose platform and process misbehave as told, see `staged_worker`; its log has its name."""
        environment = {
            **self.environment,
            "CONNECTOR_GRACE_SECONDS": str(grace),
            "STAGE": json.dumps({"acts": stage, "limits": limits or {}, "folder": str(self.directory)}),
        }
        command = ["tests.integration.worker.staged_worker"]
        with running(command, environment=environment, log=self.directory / f"{name}.log") as process:
            wait_until(lambda: "worker_ready" in self.log_of(name), what="the staged worker")
            yield process

    def log_of(self, name: str = "staged") -> str:
        return (self.directory / f"{name}.log").read_text()

    def tell(self, word: str) -> None:
        """`go`: attempts that wait go on. `stand`: event loops that would stand still do."""
        (self.directory / word).touch()
