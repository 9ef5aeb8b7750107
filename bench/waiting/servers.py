"""One API process with a database and a Valkey, and no worker: tasks stay queued until the benchmark ends them."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.prune import new_database
from bench.waiting.callers import allow_files
from connections.db import Database
from tests.factories import Tenant, make_tenant
from tests.processes import api_command, running
from tests.servers import Valkey, free_port, running_valkey, wait_until


@dataclass(frozen=True, slots=True)
class Api:
    """The process and what lies behind it."""

    port: int
    process: psutil.Process
    database: Database
    valkey: Valkey
    tenant: Tenant

    @property
    def rss(self) -> int:
        """Bytes of resident memory."""
        return int(self.process.memory_info().rss)

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def waiting_callers(self) -> int:
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False, timeout=30).text
        (line,) = (line for line in text.splitlines() if line.startswith("connector_waiting_callers "))
        return int(float(line.split()[1]))

    def subscriptions(self) -> int:
        """Connections of Valkey that are subscribed to something."""
        with self.valkey.client() as client:
            return len(client.client_list(_type="pubsub"))


@contextmanager
def running_api(database: str) -> Iterator[Api]:

    allow_files()  # inherited by the API's process
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(new_database(database))
        valkey = stack.enter_context(running_valkey(directory))
        environment = {
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DATABASE_URL": url,
            "CONNECTOR_REDIS_URL": valkey.url,
        }
        behind = Database(url, transaction_seconds=60)
        stack.callback(behind.close)
        port = free_port()
        process = stack.enter_context(running(api_command(port), environment=environment, log=directory / "api.log"))
        wait_until(lambda: is_alive(port), what="the API")
        yield Api(port, psutil.Process(process.pid), behind, valkey, make_tenant(behind))


def is_alive(port: int) -> bool:
    """It is never ready, because there is no worker."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
