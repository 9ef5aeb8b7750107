"""The engine and the unit of work: the only place that commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from connections.errors import ServiceUnavailable


class Database:
    """One per process, shared by its threads."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        """`pool_size` is the greatest number of connections; a thread waits up to 5 seconds for one."""
        self.engine = _create_engine(make_url(url), pool_size)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Raises `ServiceUnavailable` when the database cannot be reached or does not answer in time.
        """
        yield from self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that changes nothing. Raises `ServiceUnavailable` as `write` does."""
        yield from self._transaction("BEGIN")

    def _transaction(self, sqlite_begin: str) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                connection.info["begin"] = sqlite_begin
                with connection.begin():
                    yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise ServiceUnavailable from error

    def close(self) -> None:
        self.engine.dispose()


def _create_engine(url: URL, pool_size: int) -> Engine:
    options: dict[str, Any] = {
        "hide_parameters": True,  # an exception's text must not carry what was being stored
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": 5,
    }
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": 15, "check_same_thread": False}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(
        url,
        pool_pre_ping=True,
        # Five seconds is far more than any statement here needs; what takes longer is a lock or a dead server.
        connect_args={
            "connect_timeout": 3,
            "options": "-c statement_timeout=5000 -c timezone=UTC",
            # The server's own time-out does not help when the server is gone: these end a connection that fell silent.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,  # milliseconds
        },
        **options,
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin on its own and too late; `_begin_sqlite` does
    # FULL: what was committed survives a power cut, which is what "accepted" promises.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # Writers queue up at the start: a read that upgrades to a write later fails at once instead of waiting.
    connection.exec_driver_sql(connection.info.get("begin", "BEGIN"))
