"""The engine and the unit of work: the only place that commits."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from connections.errors import ServiceUnavailable

# Nobody is held longer by a database that does not answer: from asking for a connection to the end of the transaction.
TRANSACTION_SECONDS = 8.0

# How long a silent database is left alone. Then one caller asks it again, while the others are still told at once.
_SPARED_SECONDS = 1.0

_UNCONFIRMED = "The service lost its database while this was stored. It may have been; sending it again does no harm."


class Dialect(Protocol):
    """What `connections.sqlite` and `connections.postgres` know of their databases."""

    @property
    def SILENCE(self) -> tuple[type[Exception], ...]:  # noqa: N802 - a module's constant
        """What says that the database does not answer."""

    def create(self, url: URL, **options: Any) -> Engine:
        """An engine whose transactions begin when SQLAlchemy's do, as `connection.info["writes"]` says."""

    def time_limit(self, seconds: float, *, by_statement: bool) -> AbstractContextManager[None]:
        """Ends what is waited for within the block after `seconds`, taken together, where it can be silent.

        With `by_statement` each statement may be a transaction by itself.
        """


class Database:
    """One per process, shared by its threads."""

    def __init__(self, url: str, *, pool_size: int = 10, transaction_seconds: float = TRANSACTION_SECONDS) -> None:
        """`pool_size` is the greatest number of connections; a thread waits up to 5 seconds for one.

        `transaction_seconds` is the total time limit of a transaction on Postgres, waiting for a connection included.
        """
        where = make_url(url)
        self._dialect = _dialect(where)
        self.engine = self._dialect.create(
            where,
            hide_parameters=True,  # an exception's text must not carry what was being stored
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            pool_use_lifo=True,  # the one that was used last knows its statements, and is known to live
        )
        self._transaction_seconds = transaction_seconds
        self._silent_until = 0.0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises `ServiceUnavailable` when the database cannot be reached or does not answer in time; its message says
        so when the transaction may have been committed nevertheless.
        """
        yield from self._transaction(writes=True, unconfirmed=_UNCONFIRMED)

    @contextmanager
    def write_once(self) -> Iterator[Connection]:
        """As `write`, for a single statement: on Postgres that is a transaction by itself, and needs one round trip
        instead of three."""
        yield from self._transaction(writes=True, unconfirmed=_UNCONFIRMED, by_statement=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Statements that change nothing. Raises `ServiceUnavailable` as `write` does.

        Each sees what is committed when it begins, as statements of one transaction do on Postgres, too.
        """
        yield from self._transaction(writes=False, unconfirmed=None, by_statement=True)

    def _transaction(
        self, *, writes: bool, unconfirmed: str | None, by_statement: bool = False
    ) -> Iterator[Connection]:
        now = time.monotonic()
        if now < self._silent_until:
            raise ServiceUnavailable
        if self._silent_until:
            self._silent_until = now + self._transaction_seconds
        is_silent = is_committing = False
        limit = self._dialect.time_limit(self._transaction_seconds, by_statement=by_statement)
        try:
            with limit, self.engine.connect() as connection:
                connection.info["writes"] = writes
                with connection.begin():
                    is_committing = by_statement
                    yield connection
                    is_committing = True
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            is_cut_off = isinstance(error, DBAPIError) and error.connection_invalidated
            is_silent = isinstance(error, DBAPIError) and isinstance(error.orig, self._dialect.SILENCE)
            raise ServiceUnavailable(unconfirmed if is_committing and is_cut_off else None) from error
        finally:
            self._silent_until = time.monotonic() + _SPARED_SECONDS if is_silent else 0.0

    def close(self) -> None:
        self.engine.dispose()


def _dialect(url: URL) -> Dialect:
    """The drivers are large, and a process needs one of them."""
    if url.get_backend_name() == "sqlite":
        from connections import sqlite  # noqa: PLC0415

        return sqlite
    from connections import postgres  # noqa: PLC0415

    return postgres
