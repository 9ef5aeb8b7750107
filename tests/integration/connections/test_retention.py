"""What is pruned and what stays, on SQLite and on Postgres."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Connection, func, insert, select, update
from structlog.testing import capture_logs

from connections.db import Database
from connections.models import (
    accounts,
    audit_log,
    connect_tasks,
    idempotency_keys,
    metadata,
    webhook_deliveries,
    webhooks,
)
from connections.repository.retention import retentions
from connections.settings import Settings
from connections.sqltime import from_now
from tests.integration.connections.rows import Size, fill
from worker import prune
from worker.prune import Pruner

DAY_SECONDS = 86400.0
# Of 600 tasks 60 are open and the others end over 60 days, 270 of them more than 33 days ago.
SIZE = Size(
    workspaces=2,
    profiles=2,
    api_keys=2,
    accounts=20,
    tasks=600,
    open_tasks=60,
    idempotency_keys=100,
    retired_sessions=0,
    connect_sessions=2,
    session_requests=100,
    webhooks=2,
    deliveries=0,
    audit_entries=20,
)
OLD_ENTRIES = 30
KEPT_DAYS = 33
KEPT_ENTRIES_DAYS = 90
OLD_TASKS, SPENT_KEYS, FORGOTTEN_REQUESTS = 270, 10, 9


def never_stopping() -> bool:
    return False


def pruner(
    database: Database,
    *,
    is_stopping: Callable[[], bool] = never_stopping,
    pause: Callable[[float], None] = lambda _seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Pruner:
    kinds = retentions(task_seconds=KEPT_DAYS * DAY_SECONDS, audit_seconds=KEPT_ENTRIES_DAYS * DAY_SECONDS)
    return Pruner(database, kinds, is_stopping=is_stopping, pause=pause, clock=clock)


def count(database: Database, table: Any, *conditions: Any) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(prune, "_ROWS_AT_ONCE", 20)
    database = Database(database_url)
    with database.write() as connection:
        fill(connection, SIZE)
        connection.execute(insert(audit_log), [old_entry(number) for number in range(OLD_ENTRIES)])
    yield database
    database.close()


def old_entry(number: int) -> dict[str, Any]:
    return {
        "id": f"al_old_{number}",
        "workspace_id": "ws_1",
        "at": datetime.now(UTC) - timedelta(days=KEPT_ENTRIES_DAYS + number, seconds=1),
        "actor": "key_1",
        "action": "account.connect",
        "outcome": "succeeded",
    }


def test_what_ended_long_ago_goes_and_everything_else_stays(database: Database) -> None:
    before = {table: count(database, table) for table in metadata.sorted_tables}
    with capture_logs() as logs:
        pruner(database).prune()

    after = {table: count(database, table) for table in metadata.sorted_tables}
    gone = {table.name: before[table] - after[table] for table in before if before[table] != after[table]}
    assert gone == {
        "connect_tasks": OLD_TASKS,
        "idempotency_keys": SPENT_KEYS,
        "session_requests": FORGOTTEN_REQUESTS,
        "audit_log": OLD_ENTRIES,
    }
    assert {log["table"]: log["rows"] for log in logs} == gone
    assert count(database, connect_tasks, connect_tasks.c.finished_at.is_(None)) == SIZE.open_tasks
    youngest_gone = f"ct_{SIZE.tasks - OLD_TASKS}"
    assert count(database, connect_tasks, connect_tasks.c.id == youngest_gone) == 0


def test_an_open_task_stays_however_old_it_is(database: Database) -> None:
    with database.write() as connection:
        ancient = select(func.min(connect_tasks.c.created_at)).scalar_subquery()
        connection.execute(
            update(connect_tasks).where(connect_tasks.c.finished_at.is_(None)).values(created_at=ancient)
        )
    pruner(database).prune()

    assert count(database, connect_tasks, connect_tasks.c.finished_at.is_(None)) == SIZE.open_tasks


def test_many_at_once_delete_every_row_once(database: Database) -> None:
    start = threading.Barrier(4)

    def run(_number: int) -> None:
        start.wait(10)
        pruner(database).prune()

    with capture_logs() as logs, ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(4)))
        pruner(database).prune()  # what one of them held while another looked and gave up

    assert sum(log["rows"] for log in logs if log["table"] == "connect_tasks") == OLD_TASKS
    assert count(database, connect_tasks) == SIZE.tasks - OLD_TASKS
    assert count(database, idempotency_keys) == SIZE.idempotency_keys - SPENT_KEYS


def test_a_worker_that_is_to_stop_begins_no_further_batch(database: Database) -> None:
    answers = itertools.chain([False, False], itertools.repeat(True))
    pruner(database, is_stopping=lambda: next(answers)).prune()

    assert count(database, idempotency_keys) == SIZE.idempotency_keys - SPENT_KEYS  # one batch, and not a full one
    assert count(database, connect_tasks) == SIZE.tasks - 20


def test_others_get_their_turn_between_batches(database: Database) -> None:
    """A writer that comes in a pause does not wait for the rest of the run."""
    written: list[int] = []

    def write(_seconds: float) -> None:
        with database.write() as connection:
            connection.execute(update(accounts).values(display_name=str(len(written))))
        written.append(1)

    pruner(database, pause=write).prune()

    assert len(written) == OLD_TASKS // 20 + OLD_ENTRIES // 20
    assert count(database, connect_tasks) == SIZE.tasks - OLD_TASKS


def test_a_run_has_an_end(database: Database) -> None:
    eight_seconds_at_a_time = itertools.count(step=8.0)
    pruner(database, clock=lambda: next(eight_seconds_at_a_time)).prune()

    assert count(database, connect_tasks) == SIZE.tasks - 2 * 20


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_row_that_somebody_holds_is_passed_over(database: Database) -> None:
    oldest = f"ct_{SIZE.tasks - 1}"
    with database.write() as holder:
        hold(holder, oldest)
        pruner(database).prune()

    assert count(database, connect_tasks) == SIZE.tasks - OLD_TASKS + 1
    assert count(database, connect_tasks, connect_tasks.c.id == oldest) == 1


def hold(connection: Connection, task_id: str) -> None:
    connection.execute(select(connect_tasks.c.id).where(connect_tasks.c.id == task_id).with_for_update())


def test_a_task_is_kept_for_a_day_at_least() -> None:
    """For as long as an `Idempotency-Key` may ask for its answer."""
    with pytest.raises(ValidationError):
        Settings(task_retention_days=0)


def test_the_audit_log_is_kept_for_as_long_as_the_database_insists() -> None:
    assert Settings(audit_retention_days=90).audit_retention_days == 90
    with pytest.raises(ValidationError):
        Settings(audit_retention_days=89)


def test_dead_letters_outlast_what_was_delivered_and_a_deleted_webhook_goes_with_its_last(database: Database) -> None:
    def delivery(number: int, webhook: str, status: str, days: float) -> dict[str, Any]:
        return {
            "id": f"wd_{number}",
            "webhook_id": webhook,
            "workspace_id": "ws_0",
            "event_id": f"evt_{number}",
            "event": "account.connected",
            "subject": "sa_0",
            "data": {},
            "created_at": datetime.now(UTC) - timedelta(days=days),
            "status": status,
            "due_at": datetime.now(UTC) if status == "pending" else None,
            "expires_at": datetime.now(UTC),
            "finished_at": None if status == "pending" else datetime.now(UTC) - timedelta(days=days),
        }

    rows = [
        delivery(1, "wh_0", "delivered", 4),
        delivery(2, "wh_0", "delivered", 2),
        delivery(3, "wh_0", "dead", 29),
        delivery(4, "wh_0", "dead", 31),
        delivery(5, "wh_0", "pending", 99),
        delivery(6, "wh_1", "dead", 31),
    ]
    with database.write() as connection:
        connection.execute(insert(webhook_deliveries), rows)
        connection.execute(update(webhooks).values(deleted_at=from_now(-2 * DAY_SECONDS)))
    kinds = retentions(task_seconds=3 * DAY_SECONDS, audit_seconds=KEPT_ENTRIES_DAYS * DAY_SECONDS)
    Pruner(database, kinds, is_stopping=never_stopping, pause=lambda _seconds: None).prune()

    with database.read() as connection:
        left = connection.execute(select(webhook_deliveries.c.id).order_by(webhook_deliveries.c.id)).scalars().all()
        hooks = connection.execute(select(webhooks.c.id)).scalars().all()
    assert left == ["wd_2", "wd_3", "wd_5"]
    assert hooks == ["wh_0"]
