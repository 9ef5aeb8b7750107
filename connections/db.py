"""The engine and the unit of work: the only place that commits."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from connections.errors import ServiceUnavailable
from connections.postgres import SILENCE, create_postgres_engine, time_limit

# Nobody is held longer by a database that does not answer: from asking for a connection to the end of the transaction.
TRANSACTION_SECONDS = 8.0

# How long a silent database is left alone. Then one caller asks it again, while the others are still told at once.
_SPARED_SECONDS = 1.0

# How long a statement waits for those who write to SQLite before it.
_SQLITE_WAIT_SECONDS = 15.0
_SQLITE_LOOK_SECONDS = 0.01

_UNCONFIRMED = "The service lost its database while this was stored. It may have been; sending it again does no harm."


class Database:
    """One per process, shared by its threads."""

    def __init__(self, url: str, *, pool_size: int = 10, transaction_seconds: float = TRANSACTION_SECONDS) -> None:
        """`pool_size` is the greatest number of connections; a thread waits up to 5 seconds for one.

        `transaction_seconds` is the total time limit of a transaction on Postgres, waiting for a connection included.
        """
        self.engine = _create_engine(make_url(url), pool_size)
        self._transaction_seconds = transaction_seconds
        self._silent_until = 0.0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises `ServiceUnavailable` when the database cannot be reached or does not answer in time; its message says
        so when the transaction may have been committed nevertheless.
        """
        yield from self._transaction("BEGIN IMMEDIATE", unconfirmed=_UNCONFIRMED)

    @contextmanager
    def write_once(self) -> Iterator[Connection]:
        """As `write`, for a single statement: on Postgres that is a transaction by itself, and needs one round trip
        instead of three."""
        yield from self._transaction("BEGIN IMMEDIATE", unconfirmed=_UNCONFIRMED, by_statement=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that change nothing. Raises `ServiceUnavailable` as `write` does.

        Each sees what is committed when it begins, as statements of one transaction do on Postgres, too.
        """
        yield from self._transaction("BEGIN", unconfirmed=None, by_statement=True)

    def _transaction(
        self, sqlite_begin: str, *, unconfirmed: str | None, by_statement: bool = False
    ) -> Iterator[Connection]:
        now = time.monotonic()
        if now < self._silent_until:
            raise ServiceUnavailable
        if self._silent_until:
            self._silent_until = now + self._transaction_seconds
        is_silent = is_committing = False
        limit = time_limit(self._transaction_seconds, by_statement=by_statement)
        try:
            with limit, self.engine.connect() as connection:
                connection.info["begin"] = sqlite_begin
                with connection.begin():
                    is_committing = by_statement
                    yield connection
                    is_committing = True
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            is_cut_off = isinstance(error, DBAPIError) and error.connection_invalidated
            is_silent = isinstance(error, DBAPIError) and isinstance(error.orig, SILENCE)
            raise ServiceUnavailable(unconfirmed if is_committing and is_cut_off else None) from error
        finally:
            self._silent_until = time.monotonic() + _SPARED_SECONDS if is_silent else 0.0

    def close(self) -> None:
        self.engine.dispose()


def _create_engine(url: URL, pool_size: int) -> Engine:
    options: dict[str, Any] = {
        "hide_parameters": True,  # an exception's text must not carry what was being stored
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": 5,
        "pool_use_lifo": True,  # the one that was used last knows its statements, and is known to live
    }
    if url.get_backend_name() != "sqlite":
        return create_postgres_engine(url, **options)
    engine = create_engine(url, connect_args={"timeout": _SQLITE_WAIT_SECONDS, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin on its own and too late; `_begin_sqlite` does
    _write_ahead(connection)
    # FULL: what was committed survives a power cut, which is what "accepted" promises.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    # In a new file this takes a lock for which SQLite does not wait, unlike for all others: of processes that start
    # together on one, some would be refused.
    until = time.monotonic() + _SQLITE_WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        time.sleep(_SQLITE_LOOK_SECONDS)


def _begin_sqlite(connection: Connection) -> None:
    # Writers queue up at the start: a read that upgrades to a write later fails at once instead of waiting.
    connection.exec_driver_sql(connection.info.get("begin", "BEGIN"))
