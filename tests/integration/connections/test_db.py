"""Time limits and locks of a database that is well: who waits for whom, and how long."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from connections.db import TRANSACTION_SECONDS, Database
from connections.errors import ServiceUnavailable
from connections.ids import new_id
from connections.models import workspaces as table
from connections.repository import workspaces
from tests.servers import wait_until

WRITERS, WRITES = 4, 30

WRITER = """
import sys
from connections.db import Database
from connections.ids import new_id
from connections.repository import workspaces
from tests.servers import wait_until
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with database.write() as connection:
        workspaces.find_workspace(connection, "nobody")  # reads first, as an accept does
        workspaces.insert_workspace(connection, workspace_id=new_id("ws"), name="Acme")
"""


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    database = Database(postgres_url)
    yield database
    database.close()


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def insert(database: Database, workspace_id: str) -> None:
    with database.write() as connection:
        workspaces.insert_workspace(connection, workspace_id=workspace_id, name="Acme")


def test_who_opens_a_new_sqlite_file_waits_for_who_is_at_it(tmp_path: Path) -> None:
    first = sqlite3.connect(tmp_path / "new.sqlite3", isolation_level=None)
    first.execute("BEGIN IMMEDIATE")
    database = Database(f"sqlite:///{tmp_path}/new.sqlite3")

    with closing(first), closing(database), ThreadPoolExecutor(1) as pool:
        opened = pool.submit(database.engine.connect)
        with pytest.raises(TimeoutError):
            opened.result(timeout=0.3)
        first.execute("COMMIT")

        with opened.result(timeout=30) as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"


def test_processes_that_write_to_sqlite_at_once_wait_for_each_other(sqlite: Database, sqlite_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", WRITER, sqlite_url, str(WRITES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(WRITERS)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    assert [process.communicate(timeout=90)[1] for process in processes] == [""] * WRITERS
    assert count(sqlite) == WRITERS * WRITES


def test_who_reads_sqlite_holds_up_no_writer(sqlite: Database) -> None:
    with sqlite.read() as reader:
        before = reader.execute(select(func.count()).select_from(table)).scalar_one()
        started = time.monotonic()
        insert(sqlite, new_id("ws"))
        assert time.monotonic() - started < 5  # the driver would wait 15 seconds for a lock
        assert reader.execute(select(func.count()).select_from(table)).scalar_one() == before
    assert count(sqlite) == before + 1


def test_a_lock_is_waited_for_and_not_for_ever(postgres_database: Database) -> None:
    workspace_id = new_id("ws")
    started = time.monotonic()
    with postgres_database.write() as holder:
        workspaces.insert_workspace(holder, workspace_id=workspace_id, name="Acme")
        with pytest.raises(ServiceUnavailable):
            insert(postgres_database, workspace_id)
        assert 2.5 < time.monotonic() - started < TRANSACTION_SECONDS

    # That was the server's answer and no silence: nobody else is turned away for it.
    insert(postgres_database, new_id("ws"))
    assert count(postgres_database) == 2


def test_the_time_limits_end_in_the_order_of_their_causes(postgres_database: Database) -> None:
    """Lock, statement, transaction; and last what a client that is gone has left behind."""
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    query = text("SELECT setting::int / 1000.0 FROM pg_settings WHERE name = :name")
    with postgres_database.read() as connection:
        lock, statement, idle = (float(connection.execute(query, {"name": name}).scalar_one()) for name in names)

    assert 0 < lock < statement < TRANSACTION_SECONDS < idle


def test_a_transaction_that_dawdles_is_ended(postgres_url: str) -> None:
    """Statements of which none takes long, but all together do."""
    database = Database(postgres_url, transaction_seconds=2.5)
    started = time.monotonic()

    def dawdle() -> None:
        with database.write() as connection:
            for _ in range(20):
                connection.execute(text("SELECT pg_sleep(0.5)"))

    with pytest.raises(ServiceUnavailable):
        dawdle()
    assert time.monotonic() - started < 9  # they would take ten
    database.close()


@pytest.mark.parametrize("name", ["sqlite", "postgres_database"])
def test_a_single_statement_is_a_transaction(name: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(name)
    with database.write_once() as connection:
        workspaces.insert_workspace(connection, workspace_id=new_id("ws"), name="Acme")
    assert count(database) == 1


@pytest.mark.parametrize("once", [False, True])
def test_a_connection_that_was_lost_while_idle_is_replaced(
    postgres_database: Database, postgres_url: str, once: bool
) -> None:
    another = Database(postgres_url)
    others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"

    def terminated() -> bool:
        """Asked again until none is left, because a backend ends in its own time."""
        with another.write() as connection:
            return not connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}")).all()

    insert(postgres_database, new_id("ws"))
    wait_until(terminated, what="the end of the connections")
    another.close()

    begin = postgres_database.write_once if once else postgres_database.write
    with begin() as connection:
        workspaces.insert_workspace(connection, workspace_id=new_id("ws"), name="Acme")

    assert count(postgres_database) == 2
