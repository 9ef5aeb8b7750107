"""Time as the database sees it: one clock for all processes, so that a worker's wrong clock moves no lease."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Float,
    TypeDecorator,
    bindparam,
    case,
    literal,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[datetime]):
    """`timestamptz` on Postgres, UTC text on SQLite; aware datetimes on the Python side."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class from_now(FunctionElement[datetime]):  # noqa: N801  reads as the SQL function it is
    """The database's clock, `seconds` from now (negative: ago). Moves within a transaction.

    The name of a parameter in place of the seconds leaves them to whoever executes the statement.
    """

    name = "from_now"
    inherit_cache = True
    type = UtcDateTime()

    def __init__(self, seconds: float | str = 0.0) -> None:
        super().__init__(bindparam(seconds, type_=Float) if isinstance(seconds, str) else literal(seconds, Float))


def database_time(connection: Connection) -> datetime:
    """Now, by the database's clock."""
    return connection.execute(_NOW).scalar_one()


def at_most(column: ColumnElement[datetime], seconds: float | str) -> ColumnElement[datetime]:
    """The instant in `column`, or `seconds` from now, as `from_now` takes them, if that is sooner."""
    return case((column < from_now(seconds), column), else_=from_now(seconds))


@compiles(from_now, "postgresql")
def _postgresql(element: from_now, compiler: SQLCompiler, **options: Any) -> str:
    # clock_timestamp() would keep the planner from using an index: it may differ from row to row.
    return f"(statement_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(from_now, "sqlite")
def _sqlite(element: from_now, compiler: SQLCompiler, **options: Any) -> str:
    # SQLAlchemy stores six digits of a second and SQLite tells three; text of one width compares as time does.
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"


_NOW = select(from_now())
