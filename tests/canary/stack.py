"""The whole service as processes whose every word is kept: each can be ended, replaced and looked at on its own."""

import socket
import subprocess
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from connections.db import Database
from connections.messages import WORKER_ALIVE_KEY
from connections.scopes import Scope
from sandbox.process import SandboxProcess
from tests.canary.evidence import answer_of, keys_in
from tests.factories import Tenant, make_tenant
from tests.processes import running
from tests.servers import Valkey, free_port, wait_until
from tests.spans import Collector

Process = subprocess.Popen[bytes]


@dataclass
class Stack:
    """One service. `entry` is the module that every process runs: the product's own, or one that spoils something."""

    directory: Path
    database_url: str
    valkey: Valkey
    bluesky: SandboxProcess
    entry: str = "cli"
    answers: list[bytes] = field(default_factory=list)
    collector: Collector = field(default_factory=Collector)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = self.directory / "service.log"
        self.var = self.directory / "var"
        self.database = Database(self.database_url)
        self._clients: list[httpx.Client] = []
        self.environment = {
            "CONNECTOR_VAR_DIR": str(self.var),
            "CONNECTOR_DATABASE_URL": self.database_url,
            "CONNECTOR_REDIS_URL": self.valkey.url,
            "CONNECTOR_DEV_PDS_URL": self.bluesky.pds_url,
            "CONNECTOR_PLC_URL": self.bluesky.plc_url,
            # Names without a dot belong to it: none may be asked of the real one.
            "CONNECTOR_BLUESKY_URL": self.bluesky.pds_url,
            "CONNECTOR_LOG_LEVEL": "DEBUG",
            "CONNECTOR_ATTEMPT_SECONDS": "6",
            # However busy the machine is: who is turned away tells no secret, and all of them are to be told something.
            "CONNECTOR_QUEUE_AGE_SECONDS": "60",
            **self.collector.environment,
            # A crash prints where every thread was.
            "PYTHONFAULTHANDLER": "1",
        }

    def api(self) -> AbstractContextManager[Process]:
        return self._running("api", "--port", str(self.port))

    def beat(self) -> AbstractContextManager[Process]:
        return self._running("beat")

    def worker(self, **variables: str) -> AbstractContextManager[Process]:
        with self.valkey.client() as client:
            client.delete(WORKER_ALIVE_KEY)  # that of another
        return self._running("worker", **variables)

    def wait_for_worker(self) -> None:
        wait_until(lambda: self.valkey.has(WORKER_ALIVE_KEY), what="a worker", seconds=60)

    def wait_for_api(self) -> None:
        wait_until(self._listens, what="the API", seconds=60)

    def _running(self, *command: str, **variables: str) -> AbstractContextManager[Process]:
        return running([self.entry, *command], environment={**self.environment, **variables}, log=self.log)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def tenant(self) -> Tenant:
        return make_tenant(self.database, scopes=Scope.SESSIONS)

    def client(self, key: str) -> httpx.Client:
        """What it is answered is kept."""
        client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=40,
            trust_env=False,
            event_hooks={"response": [lambda answer: self.answers.append(answer_of(answer))]},
        )
        self._clients.append(client)
        return client

    def key_ring(self) -> list[bytes]:
        return list(keys_in(self.var / "keys.json"))

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.collector.close()
        self.database.close()
