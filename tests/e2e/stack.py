"""The whole service as processes: API, worker, beat, on real servers and a real or imitated Bluesky."""

import contextlib
import http.client
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from connections.db import Database
from connections.messages import WORKER_ALIVE_KEY
from tests.factories import Tenant, make_tenant
from tests.processes import api_command, beat_command, running, worker_command
from tests.servers import Valkey, free_port, wait_until


class Bluesky(Protocol):
    """What the sandbox and the real network have in common."""

    pds_url: str
    plc_url: str


@dataclass
class Service:
    """A running service and the means to look behind it."""

    url: str
    database: Database
    processes: Mapping[str, subprocess.Popen[bytes]]
    log: Path
    environment: Mapping[str, str]
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def pids(self) -> Mapping[str, int]:
        return {name: process.pid for name, process in self.processes.items()}

    def tenant(self, *, profiles: int = 1) -> Tenant:
        return make_tenant(self.database, profiles=profiles)

    def client(self, tenant: Tenant) -> httpx.Client:
        client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {tenant.key}"},
            timeout=40,
            trust_env=False,
            limits=httpx.Limits(max_connections=200),
        )
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.database.close()


@contextlib.contextmanager
def running_service(
    directory: Path,
    database_url: str,
    valkey: Valkey,
    bluesky: Bluesky,
    variables: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Service]:
    """`variables` are further ones of the environment, `settings` those of ours, without their prefix."""
    environment = {
        "CONNECTOR_VAR_DIR": str(directory / "var"),
        "CONNECTOR_DATABASE_URL": database_url,
        "CONNECTOR_REDIS_URL": valkey.url,
        "CONNECTOR_DEV_PDS_URL": bluesky.pds_url,
        "CONNECTOR_PLC_URL": bluesky.plc_url,
        **{f"CONNECTOR_{name.upper()}": value for name, value in settings.items()},
        **(variables or {}),
    }
    log = directory / "service.log"
    port = free_port()
    with contextlib.ExitStack() as processes:
        commands = {"worker": worker_command(), "beat": beat_command(), "api": api_command(port)}
        started = {
            name: processes.enter_context(running(command, environment=environment, log=log))
            for name, command in commands.items()
        }
        service = Service(f"http://127.0.0.1:{port}", Database(database_url), started, log, environment)
        processes.callback(service.close)
        wait_until(lambda: valkey.has(WORKER_ALIVE_KEY), what="a worker")
        wait_until(lambda: is_ready(port), what="the API to be ready")
        yield service


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def body(handle: str, app_password: str, **more: Any) -> dict[str, Any]:
    return {"platform": "bluesky", "credentials": {"handle": handle, "app_password": app_password}, **more}
