"""One run of the service through everything, and all it leaves behind."""

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from celery import Celery
from sqlalchemy import func, select, update

from connections.models import IS_KEPT_ALIVE, accounts, connect_tasks
from connections.settings import Environment
from connections.sqltime import from_now
from connections.vault import WorkerKeys
from sandbox.faults import Delay, Status
from sandbox.methods import REFRESH_SESSION
from tests.canary.cases import CASES, LOGIN, Expected
from tests.canary.evidence import Evidence, files_under, keys_in, keys_of, monitored, process_of, rows_of
from tests.canary.needles import Needles
from tests.canary.person import CONNECT, Person, app_shaped, canary
from tests.canary.stack import Process, Stack
from tests.servers import wait_until

OUTPUT = "logs and both streams"
REDIS = "Redis"
DATABASE = "database"
ANSWERS = "HTTP answers"
PROCESSES = "command lines and environments"
INSPECTED = "Celery's view of its tasks"
FILES = "files"
TRACES = "traces"
TERMINAL = "terminal"

WRONG_KEYS = "opened with wrong keys"
KILLED = "a worker killed in mid-attempt"
QUEUED = "waiting in the queue"
REDIS_AWAY = "Redis away"
DATABASE_AWAY = "database away"
PATH_AWAY = "in the path while the database is away"

REDIS_PASSWORD = "the password of Redis"
TOKEN = "a token"
DATABASE_PASSWORD = "the password of the database"

# Where a secret has to be. The keys are in their files besides, and a new API key on the screen of who made it.
ALLOWED = {(REDIS_PASSWORD, PROCESSES), (DATABASE_PASSWORD, PROCESSES)}

# Few enough that what they meet at the one host is never ten failures in a row: then nobody would be let in any more.
# One who fails all five times, and two who fail twice before they succeed, are nine.
_CALLERS = 3

# So many calls at least: a failure, a refusal, and a success.
_REFRESHED = 2

# Status and code; of a task its own status, of a command its exit status.
Answered = tuple[int | str, str | None]

Interruption = Callable[[], contextlib.AbstractContextManager[None]]
Visit = Callable[["Run"], None]


@dataclass(frozen=True)
class Orphan:
    """A task that has lost its worker."""

    person: Person
    task_id: str

    def wait(self) -> Answered:
        """Its final status and error."""
        answer = self.person.client.get(f"/v1/connect/tasks/{self.task_id}", params={"wait": 30})
        task = answer.json()["data"]
        return task["status"], task["error"] and task["error"]["code"]


class Run:
    """What is found where: `finds` has (secret, channel). `answered` has status and code of every case and event."""

    def __init__(self, stack: Stack, *, shaped: bool) -> None:
        """`shaped` passwords look like app passwords, others like nothing that could be known by sight."""
        self.stack = stack
        self.control = stack.bluesky.control
        self.evidence = Evidence()
        self.needles = Needles()
        self.answered: dict[str, Answered] = {}
        self.finds: set[tuple[str, str]] = set()
        self.sealed_while_queued = 0
        self.refreshed = 0
        self._make_password = app_shaped if shaped else canary
        self.people: list[Person] = []
        self._numbers = itertools.count(1)

    def person(self, name: str, handle: str = "") -> Person:
        """An account and a workspace that nobody else has; all their secrets are looked for from now on."""
        password = self._make_password(self.stack.entry, name)
        main_password = f'Kanärie"n\\ {canary(self.stack.entry, name, "main")}'
        handle = handle or f"person{next(self._numbers)}-{self.stack.entry.rpartition('.')[2]}.test"
        account = self.control.create_account(handle, app_password=password, password=main_password)
        tenant = self.stack.tenant()
        for spelling in (password, password.replace("-", "")):
            self.needles.add(name, spelling)
        self.needles.add(name, main_password)
        self.needles.add(f"the key of: {name}", tenant.key.removeprefix(tenant.key_prefix))  # its beginning is public
        self.people.append(Person(account, self.stack.client(tenant.key), tenant.key, tenant.workspace_id))
        return self.people[-1]

    def perform(self, *, database_away: Interruption | None = None, visit: Visit | None = None) -> None:
        """Takes the service up, through everything, and down; then searches. `visit` is paid while all is well."""
        stack, processes = self.stack, contextlib.ExitStack()
        with ThreadPoolExecutor(_CALLERS) as callers, processes:
            told = processes.enter_context(monitored(stack.valkey))
            api = processes.enter_context(stack.api())
            orphan = self._kill_in_mid_attempt()
            self._queue_without_worker()
            processes.enter_context(stack.beat())
            with stack.worker() as worker:
                stack.wait_for_worker()
                self._end_lease(orphan)
                self._look_at_processes(api, worker)
                for name, answer in zip(CASES, callers.map(self._act, CASES), strict=True):
                    self.answered[name] = outcome_of(answer)
                self.answered[KILLED] = orphan.wait()
                if visit is not None:
                    visit(self)
                self._refresh_sessions()
                self._ask_the_service_endpoints()
            self._look_at_stores()
            processes.enter_context(self._worker_with_wrong_keys())
            self.answered[WRONG_KEYS] = outcome_of(self.person(WRONG_KEYS).connect())
            if database_away is not None:
                self._lose_the_database(database_away)
            self._lose_redis()
            api.send_signal(signal.SIGABRT)  # prints where every thread was
            api.wait()
        self.evidence.add(REDIS, told)
        self.search()

    def search(self) -> None:
        """Looks into everything that is left when the service is down."""
        self._look_at_stores()
        self.evidence.add(OUTPUT, self.stack.log.read_bytes())
        self.evidence.add(ANSWERS, *self.stack.answers)
        self.evidence.add(TRACES, *self.stack.collector.bodies)
        self.evidence.add(FILES, *files_under(self.stack.directory))
        for token in self.control.tokens_issued():
            # What precedes its signature are names and times.
            self.needles.add(TOKEN, token.rpartition(".")[2])
        for key in self.stack.key_ring():
            self.needles.add("a key of the ring", key)
        self.finds = self.evidence.search(self.needles) - ALLOWED

    def _act(self, name: str) -> httpx.Response:
        person, case = self.person(name), CASES[name]
        case.prepare(self.control, person)
        return case.act(person)

    def _kill_in_mid_attempt(self) -> Orphan:
        """A task whose worker is killed while it logs in."""
        person = self.person(KILLED)
        self.control.order(Delay(after=4, method=LOGIN, account=person.did, times=1))
        with self.stack.worker() as worker:
            self.stack.wait_for_api()
            self.stack.wait_for_worker()
            orphan = Orphan(person, person.connect(headers={"Prefer": "respond-async"}).json()["data"]["id"])
            wait_until(lambda: self.control.count(LOGIN, identifier=person.did), what="the login", seconds=60)
            self._inspect()  # first: Celery forgets a task when its attempt ends, the stores do not
            self._look_at_stores()
            worker.kill()
        return orphan

    def _end_lease(self, orphan: Orphan) -> None:
        """As if it had run out."""
        with self.stack.database.write() as connection:
            change = update(connect_tasks).where(connect_tasks.c.id == orphan.task_id)
            connection.execute(change.values(available_at=from_now(), sweep_at=from_now()))

    def _queue_without_worker(self) -> None:
        self.answered[QUEUED] = outcome_of(self.person(QUEUED).connect(headers={"Prefer": "respond-async"}))
        self._look_at_stores()
        with self.stack.database.read() as connection:
            sealed = select(func.count()).where(connect_tasks.c.sealed_credentials.is_not(None))
            self.sealed_while_queued = connection.execute(sealed).scalar_one()

    @contextlib.contextmanager
    def _worker_with_wrong_keys(self) -> Iterator[None]:
        """The ring has keys of the right names, but they are others."""
        ring = self.stack.directory / "other" / "keys.json"
        ring.parent.mkdir()
        ring.write_bytes(WorkerKeys.generate(Environment.DEVELOPMENT).to_json())
        for key in keys_in(ring):
            self.needles.add("a key of another ring", key)
        with self.stack.worker(CONNECTOR_KEYS_FILE=str(ring)):
            self.stack.wait_for_worker()
            yield

    def _lose_redis(self) -> None:
        person = self.person(REDIS_AWAY)
        self.stack.valkey.stop()
        self.answered[REDIS_AWAY] = outcome_of(person.connect())
        self.stack.valkey.start()

    def _lose_the_database(self, away: Interruption) -> None:
        person, other = self.person(DATABASE_AWAY), self.person(PATH_AWAY)
        for known in (person, other):
            known.client.get("/v1/connect/tasks/ct_1")  # so that no key has to be looked up
        with away():
            self.answered[DATABASE_AWAY] = outcome_of(person.connect())
            self.answered[PATH_AWAY] = outcome_of(other.client.get(f"/v1/connect/tasks/{other.password}"))
            wait_until(
                lambda: b"task_put_off" in self.stack.log.read_bytes(), what="a sweep without a database", seconds=60
            )

    def _ask_the_service_endpoints(self) -> None:
        client = self.person("service endpoints").client
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/v1/nowhere"):
            client.get(path)
        client.request("BREW", CONNECT)

    def _refresh_sessions(self) -> None:
        """Of everybody who is connected: most are refreshed, one meets a failure and one is refused."""
        self.control.order(Status(status=500, method=REFRESH_SESSION, times=1))
        with self.stack.database.write() as connection:
            dids = list(connection.execute(select(accounts.c.external_id).where(IS_KEPT_ALIVE)).scalars())
            connection.execute(update(accounts).values(refresh_at=from_now(), refresh_fence=0))
        self.control.take_down(dids[-1])
        self._until_refreshed()
        self.refreshed = self.control.count(REFRESH_SESSION)

    def _until_refreshed(self) -> None:
        query = select(func.count()).where(IS_KEPT_ALIVE, accounts.c.refresh_fence < 2)

        def are_tried() -> bool:
            """Each was claimed. Those that were put off, because the host seemed to be down, are asked about soon."""
            with self.stack.database.read() as connection:
                return connection.execute(query).scalar_one() == 0 and self.control.count(REFRESH_SESSION) > _REFRESHED

        wait_until(are_tried, what="all sessions to be refreshed", seconds=60)

    def _inspect(self) -> None:
        with Celery(broker=self.stack.valkey.url, set_as_current=False) as app:
            inspect = app.control.inspect(timeout=10.0, limit=1)  # the one worker's answer, however late
            self.evidence.add(INSPECTED, repr([inspect.active(), inspect.reserved(), inspect.conf()]).encode())

    def _look_at_processes(self, *processes: Process) -> None:
        self.evidence.add(PROCESSES, *(process_of(process.pid) for process in processes))

    def _look_at_stores(self) -> None:
        self.evidence.add(REDIS, *keys_of(self.stack.valkey))
        self.evidence.add(DATABASE, *rows_of(self.stack.database_url))


def outcome_of(answer: httpx.Response) -> Expected:
    """Status and code."""
    error = answer.json().get("error")
    return answer.status_code, error and error["code"]
