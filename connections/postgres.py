"""Postgres connections that do not wait for a server that has fallen silent.

The server's own time-outs end a statement that takes too long. They do not help when the server is frozen, or when what
lies between swallows the packets: then only the client's clock goes on.
"""

import math
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")

_CONNECT_SECONDS = 3
_BEGIN_SECONDS = 2.0

# Ordered: waiting for a lock ends before the statement does, and both before the client gives up on the server. What
# the client left behind ends by itself, and with it the locks it held.
_SERVER_SETTINGS = {
    "lock_timeout": "3s",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}

# A connection that was in use so lately, and on which nothing has come since, is taken for alive where nothing is begun
# that would tell.
_FRESH_SECONDS = 1.0

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
_by_statement: ContextVar[bool] = ContextVar("by_statement", default=False)


class Silent(psycopg.OperationalError):
    """The server did not answer in time. The connection is closed: a late answer would be taken for the next one's."""


SILENCE = (Silent, psycopg.errors.ConnectionTimeout)


@contextmanager
def time_limit(seconds: float, *, by_statement: bool = False) -> Iterator[None]:
    """Everything this thread waits for on Postgres within the block, taken together, ends after `seconds`.

    What does not raises one of `SILENCE`. With `by_statement` a connection of the pool begins no transaction: each
    statement is one.
    """
    token, other_token = _ends_at.set(time.monotonic() + seconds), _by_statement.set(by_statement)
    try:
        yield
    finally:
        _ends_at.reset(token)
        _by_statement.reset(other_token)


class _Connection(psycopg.Connection[Any]):
    """Waits no longer than the time limit."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        ends_at = _ends_at.get() if timeout is None else time.monotonic() + timeout
        if ends_at == math.inf:
            return super().wait(gen, interval)
        try:
            return super().wait(gen, interval, max(0.0, ends_at - time.monotonic()))
        except psycopg.OperationalError as error:
            if time.monotonic() < ends_at:
                raise
            self.close()
            raise Silent("the server did not answer in time") from error


def create(url: URL, **options: Any) -> Engine:
    """See `connections.db.Dialect`."""
    engine = create_engine(
        url,
        connect_args={
            "autocommit": True,  # the driver would begin on its own and too late; `_check_out` does
            "options": " ".join(f"-c {name}={value}" for name, value in _SERVER_SETTINGS.items()),
            # For a migration, which has no time limit.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,  # milliseconds
        },
        **options,
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "checkout", _check_out)
    event.listen(engine, "checkin", _check_in)
    return engine


def database_size(connection: Connection) -> int:
    """Bytes on disk of the database that this connection is to, its indexes included."""
    return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _connect(_dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> _Connection:
    seconds = min(_CONNECT_SECONDS, _ends_at.get() - time.monotonic())
    if seconds < 2:  # psycopg waits no less
        raise Silent("no time is left to connect")
    return _Connection.connect(*arguments, **{**parameters, "connect_timeout": int(seconds)})


def _check_out(connection: _Connection, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Begins the transaction, and so notices with no round trip of its own when the connection was lost meanwhile.

    Then the pool gives up all that are as old, and tries once more with a fresh one.
    """
    used_at: float | None = record.info.get("used_at")
    by_statement = _by_statement.get()
    is_fresh = used_at is not None and time.monotonic() < used_at + _FRESH_SECONDS
    if by_statement and is_fresh and not _has_something_to_read(connection):
        return
    try:
        with time_limit(min(_BEGIN_SECONDS, _ends_at.get() - time.monotonic())):  # leaves time for the fresh one
            connection.execute("" if by_statement else "BEGIN", prepare=False)
    except psycopg.OperationalError as error:
        if used_at is not None:
            raise InvalidatePoolError from error
        raise


def _has_something_to_read(connection: _Connection) -> bool:
    """On a connection that asks nothing this is its end, or news that the next round trip will read."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _check_in(_connection: _Connection | None, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()
