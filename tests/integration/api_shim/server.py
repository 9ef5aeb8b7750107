"""One real API process and what its tests need of it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from api_shim.protocol import PATIENCE_SECONDS
from connections.db import Database
from connections.settings import Settings
from connections.vault import ensure_development_keys
from tests.doubles import StubWorker
from tests.factories import Tenant, make_tenant
from tests.servers import Valkey, free_port, wait_until

_WAITING = "connector_waiting_callers "

PROGRAM = """
import sys
from api_shim import protocol
from api_shim.server import serve
from connections.logs import configure_logging
from connections.settings import load_settings
settings = load_settings()
configure_logging(settings, "api")
protocol.PATIENCE_SECONDS = float(sys.argv[2])
serve(settings, "127.0.0.1", int(sys.argv[1]))
"""


class Server:
    """One API process, a caller, and a worker that settles on demand."""

    def __init__(self, settings: Settings, valkey: Valkey, log: Path, patience_seconds: float) -> None:
        ensure_development_keys(settings)
        self.settings = settings
        self.valkey = valkey
        self.log = log
        self._patience_seconds = patience_seconds
        self.port = free_port()
        self.database = Database(settings.database)
        self.tenant: Tenant = make_tenant(self.database)
        self.worker = StubWorker(settings, self.database, self._publish)
        self.key = {"Authorization": f"Bearer {self.tenant.key}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=self.key, timeout=30)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "CONNECTOR_VAR_DIR": str(self.settings.var_dir),
            "CONNECTOR_DATABASE_URL": self.settings.database_url,
            "CONNECTOR_REDIS_URL": self.settings.redis_url,
            "CONNECTOR_SYNC_WAIT_SECONDS": str(self.settings.sync_wait_seconds),
            "CONNECTOR_GRACE_SECONDS": "5",
            "CONNECTOR_DRAIN_SECONDS": str(self.settings.drain_seconds),
            # Messages lie here for as long as a test likes.
            "CONNECTOR_QUEUE_AGE_SECONDS": "60",
            "CONNECTOR_LOG_LEVEL": "DEBUG",
        }
        with self.log.open("wb") as log:
            command = [sys.executable, "-c", PROGRAM, str(self.port), str(self._patience_seconds)]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(self._answers, what="the API to answer")
        return process

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self.client.get("/healthz").is_success
        return False

    def _publish(self, channel: str, text: str) -> None:
        with self.valkey.client() as redis:
            redis.publish(channel, text)

    def task_id(self) -> str:
        """The id of the only task that was sent."""

        def sent() -> list[bytes]:
            with self.valkey.client() as redis:
                return list(redis.lrange("connect", 0, -1))

        wait_until(sent, what="a message")
        (message,) = sent()
        return str(json.loads(message)["headers"]["id"])

    def raw(self, request: bytes) -> bytes:
        """What comes back on a connection of its own until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
            chunks = []
            with suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
        return b"".join(chunks)

    def waiting(self) -> int:
        """How many callers wait for an outcome."""
        line = next(line for line in self.client.get("/metrics").text.splitlines() if line.startswith(_WAITING))
        return int(float(line.removeprefix(_WAITING)))

    def is_closed(self) -> bool:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()
        self.database.close()


@contextmanager
def running(
    valkey: Valkey,
    directory: Path,
    database: bytes,
    *,
    sync_wait_seconds: float = 25,
    patience_seconds: float = PATIENCE_SECONDS,
    drain_seconds: float = 0,
) -> Iterator[Server]:
    (directory / "connector.db").write_bytes(database)
    settings = Settings(
        var_dir=directory,
        database_url=f"sqlite:///{directory / 'connector.db'}",
        redis_url=valkey.url,
        sync_wait_seconds=sync_wait_seconds,
        drain_seconds=drain_seconds,
    )
    server = Server(settings, valkey, directory / "api.log", patience_seconds)
    try:
        yield server
    finally:
        server.close()
