"""Sessions that are to be ended, from the row to the platform. On SQLite and on Postgres."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Row, select, update

from connections.db import Database
from connections.disconnecting import Disconnecting
from connections.ending import Ending
from connections.errors import HostFailing, OutOfBudget, TemporaryFailure, UpstreamFailed, UpstreamRateLimited
from connections.ids import new_id
from connections.models import accounts, retired_sessions
from connections.repository.accounts import NewAccount, insert_account
from connections.repository.retention import delete_batch, retentions
from connections.repository.retiring import END_WITHIN_SECONDS, retire_sessions
from connections.settings import Environment
from connections.sqltime import from_now
from connections.vault import Cell, TokenCipher, WorkerKeys
from connections.verified import Session
from tests.factories import FakePlatform, Tenant, make_tenant, verified
from worker.ending import LEASE_SECONDS, Ender
from worker.metrics import WorkerMetrics
from worker.pace import is_bulk

HOST = "https://pds.test"


@dataclass
class Bench:
    """A workspace with accounts, and a worker without the process around it."""

    database: Database
    keys: WorkerKeys
    platform: FakePlatform = field(default_factory=lambda: FakePlatform([verified()]))
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    is_stopping: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.tenant: Tenant = make_tenant(self.database)
        self.cipher = TokenCipher(self.keys)

    def add_account(self) -> str:
        account_id = new_id("sa")
        session = Session(f"access {account_id}", f"refresh {account_id}")
        account = NewAccount(
            id=account_id,
            workspace_id=self.tenant.workspace_id,
            profile_id=self.tenant.profile_ids[0],
            platform="bluesky",
            external_id=f"did:plc:{account_id}",
            account_name=None,
            display_name=None,
            avatar_url=None,
            host=HOST,
            session=self.cipher.encrypt_session(account_id, session),
        )
        with self.database.write() as connection:
            assert insert_account(connection, account)
        return account_id

    def replaced(self, account_id: str, token: str) -> None:
        """As a refresh leaves the token that it has replaced."""
        values = {
            "id": new_id("rs"),
            "account_id": account_id,
            "platform": "bluesky",
            "host": HOST,
            "refresh_token": self.cipher.encrypt(token, Cell(account_id, "refresh_token")),
            "token_key": "t1",
            "retired_at": from_now(),
            "expires_at": from_now(7200),
        }
        with self.database.write() as connection:
            connection.execute(retired_sessions.insert().values(values))

    def disconnect(self, account_id: str) -> None:
        Disconnecting(self.database).disconnect(self.tenant.caller, account_id, request_id="req_1")

    def leave(self) -> str:
        """An account that was just disconnected."""
        account_id = self.add_account()
        self.disconnect(account_id)
        return account_id

    def work(self, keys: WorkerKeys | None = None) -> None:
        cipher = TokenCipher(keys or self.keys)
        Ender(
            Ending(self.database, cipher, lease_seconds=LEASE_SECONDS),
            {"bluesky": self.platform},
            self.metrics,
            is_stopping=self.is_stopping,
            uniform=lambda _low, high: high,
        ).end_sessions()

    def change(self, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(update(retired_sessions).values(values))

    def rows(self) -> list[Row[Any]]:
        with self.database.read() as connection:
            return list(connection.execute(select(retired_sessions).order_by(retired_sessions.c.id)))

    @property
    def tokens(self) -> list[str]:
        """What the platform was asked to end."""
        return [token for _, token in self.platform.ended_retired]

    def count(self, outcome: str) -> float:
        labels = {"platform": "bluesky", "outcome": outcome}
        return self.metrics.registry.get_sample_value("connector_sessions_ended_total", labels) or 0.0


@pytest.fixture
def bench(database: Database, worker_keys: WorkerKeys) -> Bench:
    return Bench(database, worker_keys)


def test_the_current_and_every_replaced_token_are_ended_and_forgotten(bench: Bench) -> None:
    account_id, other = bench.add_account(), bench.add_account()
    bench.replaced(account_id, "replaced an hour ago")
    bench.replaced(account_id, "replaced just now")
    bench.replaced(other, "another account's")
    bench.disconnect(account_id)

    bench.work()

    assert sorted(bench.tokens) == [f"refresh {account_id}", "replaced an hour ago", "replaced just now"]
    assert [(row.account_id, row.end_at) for row in bench.rows()] == [(other, None)]
    assert bench.count("ended") == 3


def test_nothing_is_asked_for_while_the_account_lives(bench: Bench) -> None:
    bench.replaced(bench.add_account(), "replaced")

    bench.work()

    assert bench.tokens == []


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (UpstreamFailed(), 2),
        (UpstreamFailed(retry_after=60), 62),
        (UpstreamRateLimited(retry_after=300), 302),
        (HostFailing(retry_after=5), 7),
        (OutOfBudget(retry_after=3), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_platform_does_not_confirm_is_tried_again_later(
    bench: Bench, error: TemporaryFailure, waits: float
) -> None:
    bench.leave()
    bench.platform.end_fails = error

    bench.work()
    bench.work()

    (row,) = bench.rows()
    assert (len(bench.tokens), row.attempts, bench.count("failed")) == (1, 1, 1)
    assert row.end_at - row.retired_at == pytest.approx(timedelta(seconds=waits), abs=timedelta(seconds=2))

    bench.platform.end_fails = None
    bench.change(end_at=from_now())
    bench.work()
    assert (bench.rows(), bench.count("ended")) == ([], 1)


def test_no_wait_outlasts_the_week(bench: Bench) -> None:
    bench.leave()
    bench.platform.end_fails = UpstreamRateLimited(retry_after=2 * END_WITHIN_SECONDS)

    bench.work()

    (row,) = bench.rows()
    assert row.end_at == row.expires_at


def test_after_a_week_it_is_given_up_aloud(bench: Bench) -> None:
    account_id = bench.leave()
    bench.change(retired_at=from_now(-END_WITHIN_SECONDS - 1), expires_at=from_now(-1), attempts=170)

    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        bench.work()

    assert (bench.tokens, bench.rows(), bench.count("given_up")) == ([], [], 1)
    (line,) = logs
    assert line["event"] == "session_given_up"
    assert (line["account_id"], line["host"], line["cause"]) == (account_id, HOST, "unconfirmed")


def test_a_replaced_token_that_ran_out_by_itself_is_not_given_up(bench: Bench) -> None:
    account_id = bench.add_account()
    bench.replaced(account_id, "replaced")
    bench.change(end_at=from_now(), retired_at=from_now(-7201), expires_at=from_now(-1))

    bench.work()

    assert (bench.tokens, bench.rows(), bench.count("ended")) == ([], [], 1)


def test_pruning_leaves_what_is_still_to_be_told(bench: Bench) -> None:
    living = bench.add_account()
    bench.replaced(living, "replaced")
    gone = bench.leave()
    bench.change(expires_at=from_now(-1))

    for retention in retentions(task_seconds=86_400, audit_seconds=90 * 86400.0):
        with bench.database.write() as connection:
            delete_batch(connection, retention, limit=200)

    assert [row.account_id for row in bench.rows()] == [gone]


def test_a_key_that_has_not_arrived_is_waited_for(bench: Bench) -> None:
    bench.leave()
    elsewhere = WorkerKeys.generate(Environment.DEVELOPMENT).rotated(now=datetime.now(UTC)).without(["t1"])

    bench.work(elsewhere)

    (row,) = bench.rows()
    assert (bench.tokens, row.attempts, bench.count("failed")) == ([], 1, 1)
    bench.change(end_at=from_now())
    bench.work()
    assert bench.rows() == []


def test_a_token_that_is_damaged_is_given_up_at_once(bench: Bench) -> None:
    bench.leave()
    healthy = bench.leave()
    with bench.database.write() as connection:
        damage = update(retired_sessions).where(retired_sessions.c.account_id != healthy)
        connection.execute(damage.values(refresh_token=b"t1." + bytes(40), end_at=from_now(-60)))

    bench.work()

    assert (bench.tokens, bench.rows(), bench.count("given_up")) == ([f"refresh {healthy}"], [], 1)


def test_a_crash_holds_up_no_other_session(bench: Bench) -> None:
    bench.leave()
    bench.platform.end_fails = RuntimeError("a bug")
    with pytest.raises(RuntimeError):
        bench.work()
    bench.platform.end_fails = None
    other = bench.leave()

    bench.work()
    assert bench.tokens[1:] == [f"refresh {other}"]

    bench.change(end_at=from_now())  # the lease has ended
    bench.work()
    assert bench.rows() == []


def test_a_worker_that_lost_its_lease_changes_nothing(bench: Bench) -> None:
    bench.leave()
    ending = Ending(bench.database, bench.cipher, lease_seconds=0)
    slow = ending.claim()
    quick = ending.claim()
    assert slow is not None
    assert quick is not None

    ending.postpone(slow, 3600)
    ending.forget(slow)
    assert [(row.attempts, row.fence) for row in bench.rows()] == [(0, quick.fence)]

    ending.forget(quick)
    assert bench.rows() == []


def test_two_workers_take_different_sessions(bench: Bench) -> None:
    left = {bench.leave(), bench.leave()}
    ending = Ending(bench.database, bench.cipher, lease_seconds=30)

    claimed = [ending.claim(), ending.claim(), ending.claim()]

    assert {session.account_id for session in claimed if session} == left
    assert claimed[2] is None


def test_the_longest_due_is_first(bench: Bench) -> None:
    first, second = bench.leave(), bench.leave()
    with bench.database.write() as connection:
        earlier = update(retired_sessions).where(retired_sessions.c.account_id == second)
        connection.execute(earlier.values(end_at=from_now(-60)))

    bench.work()

    assert bench.tokens == [f"refresh {second}", f"refresh {first}"]


def test_a_worker_that_is_to_stop_begins_no_further_session(bench: Bench) -> None:
    bench.leave()
    bench.leave()
    bench.is_stopping = lambda: len(bench.tokens) == 1

    bench.work()

    assert len(bench.tokens) == 1
    assert len(bench.rows()) == 1


def test_it_takes_its_turn_behind_everybody_who_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.leave()
    turns: list[bool] = []
    monkeypatch.setattr(bench.platform, "end_retired", lambda *_, **__: turns.append(is_bulk()))

    bench.work()

    assert turns == [True]


def test_no_token_is_in_the_log(bench: Bench) -> None:
    bench.leave()
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        bench.platform.end_fails = UpstreamFailed()
        bench.work()
        bench.platform.end_fails = None
        bench.change(end_at=from_now())
        bench.work()

    assert len(logs) == 2
    assert "refresh sa_" not in repr(logs)


def test_an_account_without_a_key_of_its_tokens_is_retired_all_the_same(bench: Bench) -> None:
    """A process of an older version wrote it."""
    account_id = bench.add_account()
    with bench.database.write() as connection:
        connection.execute(update(accounts).values(token_key=None))
    bench.disconnect(account_id)

    bench.work()

    assert bench.tokens == [f"refresh {account_id}"]


def test_an_account_without_a_session_leaves_none(bench: Bench) -> None:
    account_id = bench.add_account()
    with bench.database.write() as connection:
        connection.execute(update(accounts).values(access_token=None, refresh_token=None))
        retire_sessions(connection, account_id)

    assert bench.rows() == []
