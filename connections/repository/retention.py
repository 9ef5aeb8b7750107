"""Deletes rows whose time is over, a few at a time. Accounts are never among them."""

from dataclasses import dataclass, field

from sqlalchemy import Column, ColumnElement, Connection, TextClause, delete, literal, select, true

from connections.models import (
    ARRIVING,
    audit_log,
    connect_batch_rejections,
    connect_batches,
    connect_sessions,
    connect_tasks,
    idempotency_keys,
    retired_sessions,
    session_requests,
    webhook_deliveries,
    webhooks,
)
from connections.repository.dialects import row_address
from connections.sqltime import UtcDateTime, from_now

_DAY_SECONDS = 86_400.0
# The most that the settings allow for a row of a batch.
_LONGEST_BATCH_SECONDS = 7 * _DAY_SECONDS
# Whoever asked for a session takes the answer away at once, unless its process has ended.
_UNANSWERED_SECONDS = 60.0


# For who mends a receiver and has its dead letters sent again.
_DEAD_LETTER_SECONDS = 30 * _DAY_SECONDS
_HAS_DELIVERIES = (
    select(literal(1)).where(webhook_deliveries.c.webhook_id == webhooks.c.id).correlate(webhooks).exists()
)


@dataclass(frozen=True, slots=True)
class Retention:
    """Rows go `seconds` after the instant in `column`, and never while that is empty.

    An index must begin with it, or with what `only` compares and then with it. Of a table with several
    kinds of rows `only` says which.
    """

    column: Column[UtcDateTime]
    seconds: float
    only: ColumnElement[bool] | TextClause = field(default_factory=true)

    @property
    def table_name(self) -> str:
        return self.column.table.name


def retentions(*, task_seconds: float, audit_seconds: float) -> tuple[Retention, ...]:
    """What is pruned. `task_seconds` counts from a task's end and must outlast the keys, whose answers are in tasks.

    A batch and what was refused of it outlast its rows, and a batch that never became whole does not outlast a day: its
    rows expire as all tasks do. `audit_seconds` must be at least `audit.KEPT_DAYS`.
    """
    return (
        Retention(idempotency_keys.c.expires_at, 0.0),
        Retention(connect_tasks.c.finished_at, task_seconds),
        Retention(connect_sessions.c.expires_at, task_seconds),
        Retention(connect_batch_rejections.c.created_at, task_seconds + _LONGEST_BATCH_SECONDS + _DAY_SECONDS),
        Retention(connect_batches.c.finished_at, task_seconds + _DAY_SECONDS),
        Retention(connect_batches.c.created_at, _DAY_SECONDS, ARRIVING),
        Retention(session_requests.c.expires_at, _UNANSWERED_SECONDS),
        Retention(webhook_deliveries.c.finished_at, task_seconds, webhook_deliveries.c.status == "delivered"),
        Retention(webhook_deliveries.c.finished_at, _DEAD_LETTER_SECONDS, webhook_deliveries.c.status == "dead"),
        Retention(webhooks.c.deleted_at, _DAY_SECONDS, ~_HAS_DELIVERIES),
        Retention(audit_log.c.at, audit_seconds),
        # Those that are to be ended go with whoever gives them up, and says so.
        Retention(retired_sessions.c.expires_at, 0.0, retired_sessions.c.end_at.is_(None)),
    )


def delete_batch(connection: Connection, retention: Retention, *, limit: int) -> int:
    """Deletes the oldest rows that are over, and says how many. Rows that somebody has locked are passed over."""
    address, table = row_address(connection), retention.column.table
    # A common table expression, because Postgres may run a subquery more than once, and with it the limit.
    over = (
        select(address.label("address"))
        .select_from(table)
        .where(retention.column <= from_now(-retention.seconds), retention.only)
        .order_by(retention.column)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("over")
    )
    change = delete(table).where(address.in_(select(over.c.address))).returning(literal(1))
    # Not the row count: Python's driver of SQLite knows none of a statement that begins with WITH.
    return len(connection.execute(change).all())
