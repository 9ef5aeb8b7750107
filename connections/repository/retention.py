"""Deletes rows whose time is over, a few at a time. Accounts are never among them."""

from dataclasses import dataclass

from sqlalchemy import Column, Connection, delete, literal, select

from connections.models import connect_tasks, idempotency_keys
from connections.repository.dialects import row_address
from connections.sqltime import UtcDateTime, from_now


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows go `seconds` after the instant in `column`, and never while that is empty. An index must begin with it."""

    column: Column[UtcDateTime]
    seconds: float

    @property
    def table_name(self) -> str:
        return self.column.table.name


def retentions(*, task_seconds: float) -> tuple[Retention, ...]:
    """What is pruned. `task_seconds` counts from a task's end and must outlast the keys, whose answers are in tasks."""
    return (
        Retention(idempotency_keys.c.expires_at, 0.0),
        Retention(connect_tasks.c.finished_at, task_seconds),
    )


def delete_batch(connection: Connection, retention: Retention, *, limit: int) -> int:
    """Deletes the oldest rows that are over, and says how many. Rows that somebody has locked are passed over."""
    address, table = row_address(connection), retention.column.table
    # A common table expression, because Postgres may run a subquery more than once, and with it the limit.
    over = (
        select(address.label("address"))
        .select_from(table)
        .where(retention.column <= from_now(-retention.seconds))
        .order_by(retention.column)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("over")
    )
    change = delete(table).where(address.in_(select(over.c.address))).returning(literal(1))
    # Not the row count: Python's driver of SQLite knows none of a statement that begins with WITH.
    return len(connection.execute(change).all())
