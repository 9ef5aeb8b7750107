"""What a simulated message is said to cost is what a real one asks of Postgres and Valkey."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import redis
from sqlalchemy import event

from bench.simulate import costs
from connections.db import Database
from connections.dispatching import Dispatching
from connections.rate import Rate
from connections.settlement import Settlement
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import Credentials, Refreshed, StoredAccount, VerifiedAccount
from tests.factories import make_batch, make_tenant, verified
from tests.servers import Valkey
from worker.announce import Announcer
from worker.bulkhead import Bulkhead
from worker.login_limits import LoginLimits
from worker.pacing import Pacer
from worker.perform import Performer
from worker.platforms.base import BeforeLogin
from worker.redis_client import redis_client

HOST = "hosted.example"
ROWS = 5


class Hosted:
    """A platform whose logins need no look-up, and take their turns from a real pacer."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def login_name(self, credentials: Credentials) -> str | None:
        return credentials.identifier

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return self._pacer.ahead(HOST, names)

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        handle = credentials.identifier
        before_login(None, handle)
        with self._pacer.request(HOST, "POST", deadline=deadline, login_of=handle) as answered:
            answered(200, {})
        return verified(f"did:plc:{handle}", handle)

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        raise AssertionError("no session is refreshed here")

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        raise AssertionError("every session is kept")

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        raise AssertionError("every session is kept")

    def open_circuits(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """There is nothing to give back."""


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    client = redis_client(valkey.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def performer(database: Database, worker_keys: WorkerKeys, client: redis.Redis) -> Performer:
    pacer = Pacer(
        client,
        budget=Rate(100_000_000, 60),
        interactive_share=0.2,
        egress_address="test",
        bulkhead=Bulkhead({HOST}),
    )
    return Performer(
        Settlement(database, Opener(worker_keys), TokenCipher(worker_keys), lease_seconds=30),
        {"bluesky": Hosted(pacer)},
        Announcer(client),
        LoginLimits(client, per_account=Rate(10, 900), per_workspace=Rate(1000, 3600)),
        attempt_seconds=5,
        is_stopping=lambda: False,
    )


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """The statements, each as often as there are rows for it; without BEGIN and COMMIT, which the driver sends."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        statements.extend([statement.split(maxsplit=1)[0]] * (len(parameters) if many else 1))

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def calls(client: redis.Redis) -> Counter[str]:
    """Commands so far by name, those of scripts among them."""
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): figures["calls"] for name, figures in stats.items()})


def message(database: Database, keys: WorkerKeys, *names: str) -> list[str]:
    return make_batch(database, make_tenant(database), names, Sealer(keys.for_shim())).task_ids


def test_a_message_of_rows(
    performer: Performer, database: Database, worker_keys: WorkerKeys, client: redis.Redis
) -> None:
    performer.perform_rows(message(database, worker_keys, "first"))  # loads scripts, and the host has been asked
    task_ids = message(database, worker_keys, *(f"person{number}" for number in range(ROWS)))
    before = calls(client)
    with counting(database) as statements:
        performer.perform_rows(task_ids)
    spent = calls(client) - before

    wanted = (costs.claim(), costs.names(1), costs.store(ROWS))
    assert len(statements) + 2 == sum(cost.statements for cost in wanted)
    assert Counter(statements) == {"UPDATE": 1 + ROWS, "SELECT": 2, "INSERT": 2 * ROWS}
    assert spent["evalsha"] == 2  # the logins entered, their turns taken
    in_script = ROWS + 1  # an entry does not count twice
    assert spent["zrem"] + 1 - in_script == costs.limits(ROWS, 1)


@pytest.mark.parametrize(("batches", "rows"), [(1, 3), (2, 2)])
def test_a_run_of_the_dispatcher(database: Database, worker_keys: WorkerKeys, batches: int, rows: int) -> None:
    dispatching = Dispatching(database)
    for batch in range(batches):
        message(database, worker_keys, *(f"p{batch}{row}" for row in range(rows)))
    with counting(database) as statements:
        board = dispatching.look()
    assert len(statements) == costs.look(batches).statements
    picks = [(one.batch_id, one.lane, rows) for one in board.waiting]
    with counting(database) as statements:
        taken = dispatching.take([picks])
    assert len(taken[0]) == batches * rows
    assert len(statements) + 2 == costs.take(batches, batches * rows).statements
