"""SQLite connections that write ahead, and whose transactions wait for each other at their beginning."""

import sqlite3
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

# How long a statement waits for those who write before it.
_WAIT_SECONDS = 15.0
_LOOK_SECONDS = 0.01

# A file answers, or fails.
SILENCE: tuple[type[Exception], ...] = ()


def create(url: URL, **options: Any) -> Engine:
    """See `connections.db.Dialect`."""
    engine = create_engine(url, connect_args={"timeout": _WAIT_SECONDS, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def time_limit(_seconds: float, *, by_statement: bool) -> AbstractContextManager[None]:  # noqa: ARG001 - none is needed
    """See `connections.db.Dialect`."""
    return nullcontext()


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin on its own and too late; `_begin` does
    _write_ahead(connection)
    # FULL: what was committed survives a power cut, which is what "accepted" promises.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # In a new file this takes a lock for which SQLite does not wait, unlike for all others: of processes that start
    # together on one, some would be refused.
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_LOOK_SECONDS)


def _begin(connection: Connection) -> None:
    # Writers queue up at the start: a read that upgrades to a write later fails at once instead of waiting.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get("writes") else "BEGIN")
