"""The database itself keeps the audit log as it was written."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Executable, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from connections.audit import KEPT_DAYS
from connections.db import Database
from connections.models import audit_log, workspaces
from connections.repository.retention import Retention, delete_batch

MILLISECOND = timedelta(milliseconds=1)
YOUNG = timedelta(days=KEPT_DAYS) - timedelta(seconds=5)
OLD = timedelta(days=KEPT_DAYS) + timedelta(seconds=5)


def entry(entry_id: str, age: timedelta) -> dict[str, object]:
    return {
        "id": entry_id,
        "workspace_id": "ws_1",
        "at": datetime.now(UTC) - age,
        "actor": "key_1",
        "action": "account.connect",
        "outcome": "succeeded",
    }


@pytest.fixture
def log(database: Database) -> Database:
    """Two entries that are old enough to go, and one that is not."""
    with database.write() as connection:
        connection.execute(insert(workspaces).values(id="ws_1", name="Acme", created_at=datetime.now(UTC)))
        connection.execute(insert(audit_log), [entry("al_1", OLD), entry("al_2", OLD), entry("al_3", YOUNG)])
    return database


def kept(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        rows = connection.execute(select(audit_log.c.id, audit_log.c.actor).order_by(audit_log.c.id))
        return [(row.id, row.actor) for row in rows]


ALL = [("al_1", "key_1"), ("al_2", "key_1"), ("al_3", "key_1")]


@pytest.mark.parametrize(
    "statement",
    [
        update(audit_log).values(actor="key_2"),
        update(audit_log).values(at=datetime(2020, 1, 1, tzinfo=UTC)).where(audit_log.c.id == "al_1"),
        delete(audit_log),
        delete(audit_log).where(audit_log.c.id == "al_3"),
        text(
            "INSERT INTO audit_log (id, workspace_id, at, actor, action, outcome) "
            "SELECT id, workspace_id, at, 'key_2', action, outcome FROM audit_log WHERE true "
            "ON CONFLICT (id) DO UPDATE SET actor = excluded.actor"
        ),
    ],
    ids=["update", "backdate", "delete_all", "delete_young", "upsert"],
)
def test_what_is_written_stays(log: Database, statement: Executable) -> None:
    with pytest.raises(IntegrityError, match="audit_log"), log.write() as connection:
        connection.execute(statement)

    assert kept(log) == ALL


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_the_table_is_not_truncated(log: Database) -> None:
    with pytest.raises(IntegrityError, match="append-only"), log.write() as connection:
        connection.execute(text("TRUNCATE workspaces CASCADE"))

    assert kept(log) == ALL


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("names", ["id", "rowid, id"])
def test_nothing_takes_the_place_of_an_entry(log: Database, names: str) -> None:
    values = names.replace("rowid, id", "rowid, 'al_new'")
    replacing = text(
        f"INSERT OR REPLACE INTO audit_log ({names}, workspace_id, at, actor, action, outcome) "
        f"SELECT {values}, workspace_id, at, 'key_2', action, outcome FROM audit_log LIMIT 1"
    )
    with pytest.raises(IntegrityError, match="append-only"), log.write() as connection:
        connection.execute(replacing)

    assert kept(log) == ALL


def test_what_is_old_enough_goes(log: Database) -> None:
    with log.write() as connection:
        connection.execute(delete(audit_log).where(audit_log.c.id == "al_1"))

    assert kept(log) == ALL[1:]


def test_the_shortest_retention_is_refused_nothing(log: Database) -> None:
    """At the very instant at which an entry may go the pruner and the trigger agree that it may."""
    edge = timedelta(days=KEPT_DAYS) - timedelta(milliseconds=150)
    with log.write() as connection:
        connection.execute(insert(audit_log), [entry(f"al_edge_{n:03}", edge + n * MILLISECOND) for n in range(150)])
    shortest = Retention(audit_log.c.at, KEPT_DAYS * 86_400.0)
    while len(kept(log)) > 1:
        with log.write() as connection:
            delete_batch(connection, shortest, limit=500)

    assert kept(log) == ALL[2:]
