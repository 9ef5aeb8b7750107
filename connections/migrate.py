"""Brings the tables up to date and tells whether they are.

The revisions are part of the package, so this works from a checkout, a wheel or a container, from any directory.
"""

import math
from dataclasses import dataclass
from itertools import takewhile

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from connections.db import Database

# Any number will do, as long as every migrating process asks for the same one.
_LOCK = 0x636F6E6E

_WITHOUT_LIMITS = text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(:lock)")


def upgrade(database_url: str) -> None:
    """Runs every revision the database has not seen, in one transaction: all of them or none.

    Several processes may do this at once: one works, the others wait for it and find nothing left to do. Raises
    `ServiceUnavailable` when the database cannot be reached.
    """
    database = Database(database_url, pool_size=1, transaction_seconds=math.inf)
    try:
        with database.write() as connection:
            _wait_for_others(connection)
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.close()


def is_current(database: Database) -> bool:
    """Whether the tables are those this version of the code expects.

    Raises `ServiceUnavailable` when the database cannot be reached.
    """
    expected = ScriptDirectory.from_config(_config()).get_heads()
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
    return set(found) == set(expected)


@dataclass(frozen=True, slots=True)
class Standing:
    """How the tables stand to this version of the code: `found` is their revision, None where there are no tables;
    `pending` are the revisions to come, oldest first, and None when the tables are a newer version's.
    """

    found: str | None
    pending: tuple[str, ...] | None


def standing(database: Database) -> Standing:
    """Raises `ServiceUnavailable` when the database cannot be reached."""
    with database.read() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    newest_first = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]
    if found is not None and found not in newest_first:
        return Standing(found, None)
    pending = takewhile(lambda revision: revision != found, newest_first)
    return Standing(found, tuple(reversed([*pending])))


def _wait_for_others(connection: Connection) -> None:
    # SQLite needs nothing here: its write transaction holds the only write lock there is.
    if connection.dialect.name == "postgresql":
        connection.execute(_WITHOUT_LIMITS)
        connection.execute(_ONE_AT_A_TIME, {"lock": _LOCK})


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "connections:migrations")
    return config
