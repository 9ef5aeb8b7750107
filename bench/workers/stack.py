"""The service without workers, which are added one by one."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import psutil

from bench.waiting.wire import connect_request
from connections.db import Database
from connections.migrate import upgrade
from connections.settings import Settings
from connections.vault import ensure_development_keys
from sandbox.network import CROWD_PASSWORD, ENTRYWAY
from sandbox.process import SandboxProcess
from tests.e2e.stack import is_ready
from tests.factories import Tenant, make_tenant
from tests.faults.part import Part
from tests.processes import api_command, beat_command, worker_command
from tests.servers import Postgres, Valkey, free_port, running_postgres, running_valkey, wait_until

# No host is ever out of budget: how fast the workers are is the question here.
HOST_BUDGET = "1000000/1"
START_SECONDS = 60.0
_LOOK_SECONDS = 0.005
_ACCOUNTS_AT_ONCE = 2000

_HOSTED_DOMAIN = "bsky.test"

_numbers = count()


@dataclass(slots=True)
class Stack:
    """Processes by name; `started` ends with the context."""

    directory: Path
    environment: dict[str, str]
    sandbox: SandboxProcess
    valkey: Valkey
    postgres: Postgres | None
    tenant: Tenant
    port: int
    domain: str
    started: ExitStack
    parts: dict[str, Part] = field(default_factory=dict)

    def start_api(self) -> None:
        """And beat. Ready only once there is a worker."""
        self.start("beat", beat_command())
        self.start("api", api_command(self.port))
        wait_until(lambda: is_ready(self.port), what="the API", seconds=START_SECONDS)

    def start_worker(self, name: str) -> tuple[Part, float]:
        """Returns once it says that it is ready, and how many seconds that took from its start."""
        began = time.monotonic()
        part = self.start(name, worker_command())
        while "worker_ready" not in part.log:
            assert part.is_running, part.log
            assert time.monotonic() < began + START_SECONDS, part.log
            time.sleep(_LOOK_SECONDS)
        return part, time.monotonic() - began

    def start(self, name: str, command: list[str]) -> Part:
        part = self.parts[name] = Part(name, command, self.environment, self.directory / f"{name}.log")
        self.started.callback(part.end)
        part.start()
        return part

    def requests(self, number: int) -> list[bytes]:
        """Synchronous connects, each to a new account."""
        handles = [f"bench{next(_numbers)}.{self.domain}" for _ in range(number)]
        for start in range(0, number, _ACCOUNTS_AT_ONCE):
            self.sandbox.control.create_accounts(
                handles[start : start + _ACCOUNTS_AT_ONCE], app_password=CROWD_PASSWORD
            )
        return [connect_request(self.tenant.key, handle, prefer="", password=CROWD_PASSWORD) for handle in handles]

    def cpu_seconds(self, *names: str) -> float:
        """Of these processes, or of all there are, servers and sandbox included."""
        if names:
            return sum(cpu_seconds(self.parts[name].pid) for name in names)
        postgres = [] if self.postgres is None else self.postgres.pids
        pids = [*(part.pid for part in self.parts.values()), self.valkey.pid, self.sandbox.pid, *postgres]
        return sum(map(cpu_seconds, pids))


def cpu_seconds(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):  # a connection of Postgres that was closed meanwhile
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


@contextmanager
def running_stack(
    database: str, *, threads: int, login_seconds: float, is_hosted: bool = False, **settings: str
) -> Iterator[Stack]:
    """Accounts are the hosted service's, which is asked for a login alone, or ones that must be looked up first.

    `settings` are further variables, without their prefix.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        postgres = stack.enter_context(running_postgres()) if database == "postgres" else None
        url = f"sqlite:///{directory / 'connector.db'}" if postgres is None else postgres.create("bench")
        upgrade(url)
        valkey = stack.enter_context(running_valkey(directory))
        hosted = ("--entryway-port", "0", "--did-doc", "--hosted-domain", _HOSTED_DOMAIN) if is_hosted else ()
        sandbox = stack.enter_context(SandboxProcess("--delay-ms", str(1000 * login_seconds), *hosted))
        pds_url = httpx.URL(sandbox.hosts[ENTRYWAY] if is_hosted else sandbox.pds_url)
        ensure_development_keys(Settings(var_dir=directory / "var"))
        environment = {
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DATABASE_URL": url,
            "CONNECTOR_REDIS_URL": valkey.url,
            "CONNECTOR_DEV_PDS_URL": str(pds_url),
            **({"CONNECTOR_BLUESKY_URL": str(pds_url.copy_with(host=_HOSTED_DOMAIN))} if is_hosted else {}),
            "CONNECTOR_DNS_SERVERS": sandbox.dns_address,
            "CONNECTOR_PLC_URL": sandbox.plc_url,
            "CONNECTOR_LOG_FORMAT": "json",  # as in production
            "CONNECTOR_HOST_BUDGET": HOST_BUDGET,
            "CONNECTOR_WORKER_THREADS": str(threads),
            **{f"CONNECTOR_{name.upper()}": value for name, value in settings.items()},
        }
        behind = Database(url)
        tenant = make_tenant(behind)
        behind.close()
        domain = _HOSTED_DOMAIN if is_hosted else "test"
        yield Stack(directory, environment, sandbox, valkey, postgres, tenant, free_port(), domain, stack)
