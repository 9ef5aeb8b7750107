"""The engine and the unit of work: the only place that commits."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from connections.errors import ServiceUnavailable
from connections.postgres import BY_STATEMENT, SILENCE, UNFLUSHED, create_postgres_engine, time_limit

# Nobody is held longer by a database that does not answer: from asking for a connection to the end of the transaction.
TRANSACTION_SECONDS = 8.0

# How long a silent database is left alone. Then one caller asks it again, while the others are still told at once.
_SPARED_SECONDS = 1.0

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
    def write_unflushed(self) -> Iterator[Connection]:
        """As `write`, for what may be lost with the database's machine, of which the last moment goes: nobody waits
        until it is on the disk, which takes as long as all the rest. What is written after it is lost no sooner."""
        yield from self._transaction("BEGIN IMMEDIATE", unconfirmed=_UNCONFIRMED, begin=UNFLUSHED, synchronous="NORMAL")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that change nothing. Raises `ServiceUnavailable` as `write` does.

        Each sees what is committed when it begins, as statements of one transaction do on Postgres, too.
        """
        yield from self._transaction("BEGIN", unconfirmed=None, begin=BY_STATEMENT)

    def _transaction(
        self, sqlite_begin: str, *, unconfirmed: str | None, begin: str = "BEGIN", synchronous: str = "FULL"
    ) -> Iterator[Connection]:
        """`begin` is for Postgres, `sqlite_begin` and `synchronous` are for SQLite."""
        now = time.monotonic()
        if now < self._silent_until:
            raise ServiceUnavailable
        if self._silent_until:
            self._silent_until = now + self._transaction_seconds
        is_silent = is_committing = False
        limit = time_limit(self._transaction_seconds, begin=begin)
        try:
            with limit, self.engine.connect() as connection:
                connection.info["begin"] = sqlite_begin
                connection.info["synchronous"] = synchronous
                with connection.begin():
                    is_committing = begin == BY_STATEMENT
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
    engine = create_engine(url, connect_args={"timeout": 15, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin on its own and too late; `_begin_sqlite` does
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # FULL: what was committed survives a power cut, which is what "accepted" promises.
    connection.exec_driver_sql(f"PRAGMA synchronous={connection.info.get('synchronous', 'FULL')}")
    # Writers queue up at the start: a read that upgrades to a write later fails at once instead of waiting.
    connection.exec_driver_sql(connection.info.get("begin", "BEGIN"))
