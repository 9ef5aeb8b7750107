"""The revisions build exactly the tables of the models, on both databases, also when several processes run them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from connections import migrate
from connections.db import Database
from connections.models import metadata
from tests.servers import Postgres

NewDatabase = Callable[[], str]

# What the server itself says about every table, index and trigger, word for word.
SCHEMA = {
    # Not the text of the tables: SQLite appends a later column to it, behind the constraints.
    "sqlite": """
        SELECT sql FROM sqlite_master
        WHERE type IN ('index', 'trigger') AND tbl_name <> 'alembic_version' AND sql IS NOT NULL
        UNION ALL
        SELECT printf('%s %s %s %s %s %s', t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk)
        FROM sqlite_master t, pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND t.name <> 'alembic_version'
        UNION ALL
        SELECT printf('%s %s %s %s %s %s', t.name, f."from", f."table", f."to", f.on_update, f.on_delete)
        FROM sqlite_master t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' AND t.name <> 'alembic_version'
        UNION ALL
        SELECT printf('%s %s %s %s %s', t.name, i.name, i."unique", i.origin, i.partial)
        FROM sqlite_master t, pragma_index_list(t.name) i WHERE t.type = 'table' AND t.name <> 'alembic_version'
    """,
    "postgresql": """
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        UNION ALL
        SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL
        SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        UNION ALL
        SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL
        SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    """Makes an empty database and returns its URL."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / uuid4().hex}.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return lambda: postgres.create(f"test_{uuid4().hex}")


def schema_of(database: Database) -> list[str]:
    with database.read() as connection:
        return sorted(connection.execute(text(SCHEMA[connection.dialect.name])).scalars())


def test_the_revisions_build_the_tables_of_the_models(new_database: NewDatabase) -> None:
    migrated_url = new_database()
    migrate.upgrade(migrated_url)
    migrated, modelled = Database(migrated_url), Database(new_database())
    with modelled.write() as connection:
        metadata.create_all(connection)

    with migrated.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    # Alembic does not compare the conditions of partial indexes, which decide our races; the servers do.
    assert schema_of(migrated) == schema_of(modelled)

    migrated.close()
    modelled.close()


def test_upgrading_twice_changes_nothing(new_database: NewDatabase) -> None:
    url = new_database()
    migrate.upgrade(url)
    database = Database(url)
    before = schema_of(database)

    migrate.upgrade(url)

    assert schema_of(database) == before
    database.close()


def test_tells_whether_the_tables_are_current(new_database: NewDatabase) -> None:
    url = new_database()
    database = Database(url)
    assert not migrate.is_current(database)

    migrate.upgrade(url)

    assert migrate.is_current(database)
    database.close()


def test_processes_that_migrate_at_once_wait_for_each_other(new_database: NewDatabase) -> None:
    url = new_database()
    program = """
import sys
from connections.migrate import upgrade
print("ready", flush=True)
sys.stdin.readline()
upgrade(sys.argv[1])
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)

    assert [process.returncode for process in processes] == [0, 0, 0]
    database = Database(url)
    assert migrate.is_current(database)
    database.close()


def test_secrets_from_before_0003_say_which_key_they_have(new_database: NewDatabase) -> None:
    database = Database(new_database())
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", "connections:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for statement in BEFORE_0003:
            connection.execute(text(statement), SECRETS)
        command.upgrade(config, "head")

        assert connection.execute(text("SELECT token_key FROM accounts ORDER BY id")).scalars().all() == ["t1", None]
        assert connection.execute(text("SELECT sealing_key FROM connect_tasks ORDER BY id")).scalars().all() == [
            "s12",
            None,
        ]
    database.close()


SECRETS = {"token": b"t1.\x00\xff.more", "sealed": b"s12.\xfe\x00.s1.", "time": "2026-01-01 00:00:00+00:00"}
BEFORE_0003 = [
    "INSERT INTO workspaces (id, name, created_at) VALUES ('ws_1', 'Acme', :time)",
    "INSERT INTO profiles (id, workspace_id, name, created_at) VALUES ('pr_1', 'ws_1', 'Default', :time)",
    *(
        f"""
        INSERT INTO accounts (id, workspace_id, profile_id, platform, external_id, host, status, connection_type,
            access_token, refresh_token, connected_at)
        VALUES ('{account}', 'ws_1', 'pr_1', 'bluesky', '{account}', 'h', 'active', 'byo', {token}, {token}, :time)
        """
        for account, token in (("sa_1", ":token"), ("sa_2", "NULL"))
    ),
    *(
        f"""
        INSERT INTO connect_tasks (id, workspace_id, profile_id, platform, queue, status, request_id, fingerprint,
            attempts, max_attempts, fence, available_at, sweep_at, sweeps, expires_at, created_at, sealed_credentials)
        VALUES ('{task}', 'ws_1', 'pr_1', 'bluesky', 'connect', '{status}', 'req_1', :sealed, 0, 5, 0, :time, :time, 0,
            :time, :time, {sealed})
        """
        for task, status, sealed in (("ct_1", "queued", ":sealed"), ("ct_2", "failed", "NULL"))
    ),
]


def test_where_tables_stand(new_database: NewDatabase) -> None:
    url = new_database()
    database = Database(url)
    nowhere = migrate.standing(database)
    migrate.upgrade(url)
    latest = migrate.standing(database)
    told = []
    for revision in ("0002", "9999"):
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
        told.append(migrate.standing(database))
    database.close()

    assert latest.pending == ()
    assert nowhere.found is None
    assert nowhere.pending is not None
    assert (nowhere.pending[0], nowhere.pending[-1]) == ("0001", latest.found)
    assert told == [migrate.Standing("0002", nowhere.pending[2:]), migrate.Standing("9999", None)]
