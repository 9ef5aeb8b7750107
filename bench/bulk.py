"""The service with a number of workers before a sandbox, and batches sent through it.

Accounts are the hosted service's, which log in at its entryway by handle, or live at many hosts and are sent by DID:
then handles are asked of the entryway, documents of the directory and logins of the hosts, so that each of these sees
one request a row. The product runs by its own commands on Postgres and a real Valkey.
"""

import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import func, select

from connections.contract import BatchStatus, TaskStatus
from connections.db import Database
from connections.migrate import upgrade
from connections.models import connect_batches, connect_tasks
from connections.settings import Settings
from connections.vault import ensure_development_keys
from sandbox.client import SandboxAccount
from sandbox.methods import CREATE_SESSION
from sandbox.network import CROWD_PASSWORD, ENTRYWAY
from sandbox.process import SandboxProcess
from tests.e2e.stack import is_ready
from tests.factories import Tenant, make_tenant
from tests.faults.part import Part
from tests.processes import api_command, beat_command
from tests.servers import Postgres, Valkey, free_port, running_postgres, running_valkey, wait_until

# A login takes a real PDS 350 ms; shorter like the windows of the limit, so that about as many are under way at once.
LOGIN_SECONDS = 0.05
LIMIT = 3000
WINDOW_SECONDS = 300
START_SECONDS = 120.0
HOSTED_DOMAIN = "bsky.test"
LOOK_SECONDS = 1.0

_numbers = count()


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch. `identifier` is what is sent of the account, `ref` names the row or its kind in results."""

    account: SandboxAccount
    identifier: str
    ref: str


@dataclass(frozen=True, slots=True)
class End:
    """How a row has ended, `second` after its batch was accepted, by the database's clock.

    `how` is `succeeded`, or the cause, or the status of a row that has not ended.
    """

    ref: str
    how: str
    second: float | None


@dataclass(frozen=True)
class Rig:
    """A running service. CPU and logs by the names of the processes: `worker-1`, `api`, `beat`."""

    url: str
    parts: Mapping[str, Part]
    database: Database
    postgres: Postgres
    valkey: Valkey
    sandbox: SandboxProcess
    is_hosted: bool
    """Whether accounts are the hosted service's, by handle."""

    def tenant(self) -> Tenant:
        return make_tenant(self.database)

    def client(self, tenant: Tenant) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {tenant.key}"}, timeout=60, trust_env=False
        )

    def rows(self, number: int, host: str = "pds", ref: str = "") -> list[Row]:
        """That many new accounts on a host."""
        domain = HOSTED_DOMAIN if self.is_hosted else "test"
        handles = [f"bulk{next(_numbers)}.{domain}" for _ in range(number)]
        accounts = self.sandbox.control.create_accounts(handles, host=host, app_password=CROWD_PASSWORD)
        return [Row(account, account.handle if self.is_hosted else account.did, ref or host) for account in accounts]

    def post(self, tenant: Tenant, rows: Sequence[Row]) -> str:
        """Sends them as one batch; gives its id. Raises `AssertionError` unless all are accepted."""
        lines = (
            {"handle": row.identifier, "app_password": row.account.app_password, "external_ref": row.ref}
            for row in rows
        )
        body = "".join(json.dumps(line) + "\n" for line in lines)
        with self.client(tenant) as client:
            answer = client.post("/v1/connect/batches", content=body, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 202, answer.text
        accepted = answer.json()["data"]
        assert (accepted["total"], accepted["rejected"]) == (len(rows), []), answer.text[:2000]
        return str(accepted["id"])

    def follow(self, tenant: Tenant, batch_id: str, *, seconds: float) -> bool:
        """Polls like a caller until the batch has finished; False when it has not after so long."""
        gives_up_at = time.monotonic() + seconds
        with self.client(tenant) as client:
            while time.monotonic() < gives_up_at:
                answer = client.get(f"/v1/connect/batches/{batch_id}")
                assert answer.status_code == 200, answer.text
                if answer.json()["data"]["status"] == BatchStatus.FINISHED:
                    return True
                time.sleep(LOOK_SECONDS)
        return False

    def ends(self, batch_id: str) -> list[End]:
        """Every row of a batch."""
        query = (
            select(
                connect_tasks.c.external_ref,
                connect_tasks.c.status,
                connect_tasks.c.cause,
                connect_tasks.c.finished_at,
                connect_batches.c.accepted_at,
            )
            .join(connect_batches, connect_batches.c.id == connect_tasks.c.batch_id)
            .where(connect_tasks.c.batch_id == batch_id)
        )
        with self.database.read() as connection:
            return [
                End(
                    ref,
                    status if status == TaskStatus.SUCCEEDED or finished is None else cause or status,
                    None if finished is None else (finished - accepted).total_seconds(),
                )
                for ref, status, cause, finished, accepted in connection.execute(query)
            ]

    def unfinished(self, batch_id: str) -> int:
        """Rows without an outcome."""
        query = select(func.count()).where(connect_tasks.c.batch_id == batch_id, connect_tasks.c.finished_at.is_(None))
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    @property
    def busiest_url(self) -> str:
        """Of the host that logs in the accounts of `rows`."""
        return self.sandbox.hosts[ENTRYWAY] if self.is_hosted else self.sandbox.pds_url

    def logins(self) -> Counter[int]:
        """How many logins all hosts answered, by status."""
        answered: Counter[int] = Counter()
        for tally in self.sandbox.control.tally():
            if tally.method == CREATE_SESSION:
                answered[tally.status] += tally.count
        return answered

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far; workers together."""
        spent: defaultdict[str, float] = defaultdict(float)
        for name, part in self.parts.items():
            spent["workers" if name.startswith("worker") else name] += _cpu_seconds(part.pid)
        spent["valkey"] = _cpu_seconds(self.valkey.pid)
        spent["postgres"] = sum(map(_cpu_seconds, self.postgres.pids))
        spent["sandbox"] = _cpu_seconds(self.sandbox.pid)
        return dict(spent)


def _cpu_seconds(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:  # a connection of Postgres that was closed meanwhile
        return 0.0
    return float(times.user + times.system)


@contextmanager
def running_rig(
    *, workers: int = 1, scale: float, hosts: int = 0, limits: bool = True, **settings: str
) -> Iterator[Rig]:
    """`scale` shortens the windows of the sandbox's limits and of the service's budget alike; without `limits` the
    sandbox has none. Without `hosts` all accounts are the hosted service's. `settings` are further variables, without
    their prefix."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bulk-", ignore_cleanup_errors=True)))
        postgres = stack.enter_context(running_postgres())
        database_url = postgres.create("bulk")
        upgrade(database_url)
        database = Database(database_url, pool_size=2, transaction_seconds=60)
        stack.callback(database.close)
        valkey = stack.enter_context(running_valkey(directory))
        sandbox = stack.enter_context(SandboxProcess(*_sandbox_arguments(hosts, scale, limits=limits)))
        if limits and hosts:
            # It knows the names of all hosts, so it would be the first to run out of what is measured at the others.
            sandbox.control.limits(enabled=False, host=ENTRYWAY)
        entryway = httpx.URL(sandbox.hosts[ENTRYWAY])
        environment = {
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DATABASE_URL": database_url,
            "CONNECTOR_REDIS_URL": valkey.url,
            "CONNECTOR_PLC_URL": sandbox.plc_url,
            "CONNECTOR_DEV_PDS_URL": str(entryway),
            "CONNECTOR_BLUESKY_URL": str(entryway.copy_with(host=HOSTED_DOMAIN)),
            "CONNECTOR_DNS_SERVERS": sandbox.dns_address,
            "CONNECTOR_LOG_FORMAT": "json",  # as in production
            "CONNECTOR_HOST_BUDGET": f"{LIMIT}/{round(WINDOW_SECONDS * scale)}",
            **{f"CONNECTOR_{name.upper()}": value for name, value in settings.items()},
        }
        ensure_development_keys(Settings(var_dir=directory / "var"))
        port = free_port()
        commands = {f"worker-{number}": ["bench.bulk_worker", "worker"] for number in range(1, workers + 1)}
        commands |= {"beat": beat_command(), "api": api_command(port)}
        parts = {name: Part(name, command, environment, directory / name) for name, command in commands.items()}
        for part in parts.values():
            stack.callback(part.end)
            part.start()
        rig = Rig(f"http://127.0.0.1:{port}", parts, database, postgres, valkey, sandbox, not hosts)
        _wait(rig, port)
        yield rig


def _sandbox_arguments(hosts: int, scale: float, *, limits: bool) -> Iterable[str]:
    yield from ("--pds-count", str(max(1, hosts)), "--delay-ms", str(1000 * LOGIN_SECONDS))
    yield from ("--entryway-port", "0", "--did-doc", "--hosted-domain", HOSTED_DOMAIN)
    yield from ("--limits", "--limits-scale", str(scale)) if limits else ()


def _wait(rig: Rig, port: int) -> None:
    for name, part in rig.parts.items():
        if name.startswith("worker"):
            wait_until(partial(_has_started, part), what=name, seconds=START_SECONDS)
    wait_until(lambda: is_ready(port), what="the API", seconds=START_SECONDS)


def _has_started(worker: Part) -> bool:
    assert worker.is_running, worker.log
    return "worker_ready" in worker.log


def summed(ends: Iterable[End]) -> dict[str, Any]:
    """How many rows have ended in which way."""
    return dict(sorted(Counter(end.how for end in ends).items()))
