"""Everything a fault can strike: Valkey, a database, two workers, two API processes, beat, and a Bluesky.

The second worker and the second API process reach Valkey through a proxy that can fall silent.
"""

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy import ColumnElement, and_, func, select, text

from connections.contract import FINAL_STATUSES, TaskStatus
from connections.db import Database
from connections.migrate import upgrade
from connections.models import connect_tasks
from connections.settings import Settings
from connections.vault import ensure_development_keys
from sandbox.process import SandboxProcess
from tests.e2e.stack import is_ready
from tests.factories import Tenant, make_tenant
from tests.faults.orders import FOLDER, NAME, Orders, Point
from tests.faults.part import Part
from tests.faults.people import Expected, Person, invited
from tests.faults.proxy import SilentProxy
from tests.processes import api_command, beat_command, worker_command
from tests.servers import Postgres, Valkey, free_port, running_postgres, running_valkey, wait_until

THREADS = 16
# Several times what a login takes while a busy machine has other things to do: one cut off in the middle is made again.
ATTEMPT_SECONDS = 6.0
LOGIN_SECONDS = 0.2
START_SECONDS = 60.0

# More than the callers of a load ask of the one host there is, so that only batches ever wait for their turn.
HOST_BUDGET = "30000/300"

WORKERS = ("worker-1", "worker-2")
SHIMS = ("shim-1", "shim-2")

_people = itertools.count()

# A row for each time a task is changed to be ended, or after it has: one row a task, or an outcome was not the last.
_HAS_ENDED = "NEW.status NOT IN ('queued', 'running', 'retrying')"
_ENDINGS = {
    "postgresql": (
        "CREATE TABLE endings (task_id text)",
        """CREATE FUNCTION note_ending() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO endings VALUES (NEW.id); RETURN NULL; END $$""",
        f"""CREATE TRIGGER note_ending AFTER UPDATE ON connect_tasks FOR EACH ROW
        WHEN ({_HAS_ENDED}) EXECUTE FUNCTION note_ending()""",
    ),
    "sqlite": (
        "CREATE TABLE endings (task_id text)",
        f"""CREATE TRIGGER note_ending AFTER UPDATE ON connect_tasks
        WHEN {_HAS_ENDED} BEGIN INSERT INTO endings VALUES (NEW.id); END""",
    ),
}


@dataclass(frozen=True, repr=False)
class Fleet:
    """A running fleet. Parts are found by name: `fleet["worker-1"]`."""

    parts: dict[str, Part]
    urls: Sequence[str]  # of the API processes, in order
    valkey: Valkey
    proxy: SilentProxy
    postgres: Postgres | None
    database: Database
    sandbox: SandboxProcess
    orders: Orders
    settings: Settings

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    def tenant(self) -> Tenant:
        return make_tenant(self.database)

    def people(self, count: int) -> list[Person]:
        """New ones, most of them with an account and its password."""
        return invited(self.sandbox, [next(_people) for _ in range(count)])

    def person(self) -> Person:
        """One with an account and its password."""
        return next(person for person in self.people(3) if person.expected is Expected.CONNECTED)

    def hold(self, point: Point, *workers: str, threads: int = THREADS) -> set[str]:
        """Waits until so many threads of each of these workers are held at the point, all of them by default.

        Gives the tasks that they have in hand.
        """
        for worker in workers:
            self.orders.hold(worker, point)
        for worker in workers:
            wait_until(
                lambda worker=worker: len(self.orders.held(worker, point)) >= threads,  # type: ignore[misc]
                what=f"{threads} threads of {worker} to be {point}",
                seconds=START_SECONDS,
            )
        return {task_id for worker in workers for task_id in self.orders.held(worker, point)}

    def release(self, point: Point, *workers: str) -> None:
        for worker in workers:
            self.orders.release(worker, point)

    def waiting_callers(self, shim: int) -> int:
        """How many callers this API process says are waiting."""
        metrics = httpx.get(f"{self.urls[shim]}/metrics", trust_env=False).text
        (line,) = (line for line in metrics.splitlines() if line.startswith("connector_waiting_callers "))
        return int(float(line.split()[1]))

    def tasks_in_flight(self, tenant: Tenant) -> int:
        """How many tasks of this workspace have not ended."""
        return self._in_flight(connect_tasks.c.workspace_id == tenant.workspace_id)

    def until_ended(self, task_ids: Collection[str]) -> None:
        these = connect_tasks.c.id.in_(task_ids)
        wait_until(lambda: self._in_flight(these) == 0, what="tasks to end", seconds=START_SECONDS)

    def until_claimed_again(self, task_ids: Collection[str], *, count: int) -> None:
        """Waits until so many of the tasks are in an attempt that is not their first."""
        is_claimed = and_(
            connect_tasks.c.id.in_(task_ids),
            connect_tasks.c.fence > 1,
            connect_tasks.c.status == TaskStatus.RUNNING,
        )
        wait_until(
            lambda: self._in_flight(is_claimed) >= count, what="tasks to be claimed again", seconds=START_SECONDS
        )

    def _in_flight(self, which: ColumnElement[bool]) -> int:
        query = select(func.count()).where(which, connect_tasks.c.status.not_in(FINAL_STATUSES))
        with self.database.read() as connection:
            return connection.execute(query).scalar_one()

    def heal(self) -> None:
        """Undoes what a fault has left behind, and waits until everything works."""
        self.orders.clear()
        if not self.valkey.is_running:
            self.valkey.start()
        if self.postgres and not self.postgres.pids:
            self.postgres.start()
        for part in self.parts.values():
            if not part.is_running:
                part.start()
        self.sandbox.control.reset()
        self.until_ready()

    def until_ready(self) -> None:
        for name in WORKERS:
            wait_until(lambda name=name: "worker_ready" in self[name].log, what=name, seconds=START_SECONDS)  # type: ignore[misc]
        for url in self.urls:
            port = int(url.rsplit(":", 1)[1])
            wait_until(lambda port=port: is_ready(port), what=url, seconds=START_SECONDS)  # type: ignore[misc]


@contextlib.contextmanager
def running_fleet(directory: Path, *, on_sqlite: bool = False, as_shipped: bool = False) -> Iterator[Fleet]:
    """On Postgres unless `on_sqlite`.

    `as_shipped` starts the product by its own commands: nothing can be ordered of it, and its waits are not cut.
    """
    folder = directory / "orders"
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        postgres = None if on_sqlite else stack.enter_context(running_postgres())
        database_url = postgres.create("fleet") if postgres else f"sqlite:///{directory / 'connector.db'}"
        upgrade(database_url)
        database = Database(database_url, pool_size=2)
        stack.callback(database.close)
        with database.write() as connection:
            for statement in _ENDINGS[database.engine.dialect.name]:
                connection.execute(text(statement))
        valkey = stack.enter_context(running_valkey(directory))
        proxy = stack.enter_context(SilentProxy(valkey.port))
        sandbox = stack.enter_context(SandboxProcess("--delay-ms", str(1000 * LOGIN_SECONDS)))
        environment = {
            "CONNECTOR_VAR_DIR": str(directory / "var"),
            "CONNECTOR_DATABASE_URL": database_url,
            "CONNECTOR_DEV_PDS_URL": sandbox.pds_url,
            "CONNECTOR_PLC_URL": sandbox.plc_url,
            "CONNECTOR_WORKER_THREADS": str(THREADS),
            "CONNECTOR_HOST_BUDGET": HOST_BUDGET,
            FOLDER: str(folder),
        }
        if not as_shipped:
            environment |= {
                "CONNECTOR_ATTEMPT_SECONDS": str(ATTEMPT_SECONDS),
                "CONNECTOR_SYNC_WAIT_SECONDS": "10",
            }
        ports = [free_port() for _ in SHIMS]
        commands = {name: worker_command() for name in WORKERS} | {"beat": beat_command()}
        commands |= {name: api_command(port) for name, port in zip(SHIMS, ports, strict=True)}
        parts = {}
        for name, command in commands.items():
            redis_port = proxy.port if name.endswith("-2") else valkey.port
            parts[name] = Part(
                name,
                command if as_shipped or name == "beat" else ["tests.faults.entry", *command[1:]],
                environment | {"CONNECTOR_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", NAME: name},
                directory / f"{name}.log",
            )
            stack.callback(parts[name].end)
        fleet = Fleet(
            parts=parts,
            urls=[f"http://127.0.0.1:{port}" for port in ports],
            valkey=valkey,
            proxy=proxy,
            postgres=postgres,
            database=database,
            sandbox=sandbox,
            orders=Orders(folder),
            settings=Settings(var_dir=directory / "var"),
        )
        ensure_development_keys(fleet.settings)
        fleet.heal()
        yield fleet
