"""The database as commands open it."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.util import CommandError
from sqlalchemy import Connection

from cli.failures import CommandFailed
from connections import migrate
from connections.db import Database
from connections.folders import make_private
from connections.repository import workspaces
from connections.settings import Settings


def migrate_tables(settings: Settings) -> None:
    """Brings the tables up to date; the embedded database is created where there is none.

    Raises `CommandFailed` when they are a newer version's.
    """
    if not settings.database_url:
        make_private(settings.var_dir)
    try:
        migrate.upgrade(settings.database)
    except CommandError:  # alembic finds no revision of theirs in this package
        raise CommandFailed("the tables are a newer version's; use that version of connector") from None


@contextmanager
def open_database(settings: Settings) -> Iterator[Database]:
    """Raises `CommandFailed` unless the tables are up to date."""
    if not settings.database_url and not settings.var_dir.is_dir():
        raise _NOT_MIGRATED
    database = Database(settings.database, pool_size=1)
    try:
        if not migrate.is_current(database):
            raise _NOT_MIGRATED
        yield database
    finally:
        database.close()


def workspace_id_of(connection: Connection, workspace: str) -> str:
    """`workspace` is an id or a name. Raises `CommandFailed` when there is none, or when several have the name: whoever
    has a key of a workspace may rename it."""
    match workspaces.workspaces_called(connection, workspace):
        case [workspace_id]:
            return workspace_id
        case []:
            raise CommandFailed(f"there is no workspace {workspace!r}; `connector workspace list` shows all there are")
        case _:
            raise CommandFailed(
                f"several workspaces are called {workspace!r}; `connector workspace list` shows their ids"
            )


_NOT_MIGRATED = CommandFailed("the database is not up to date; run `connector migrate` first")
