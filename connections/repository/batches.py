"""Batches as their readers see them: how they stand, how each row ended; and how they are canceled."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, func, null, select, update

from connections.contract import UNFINISHED_STATUSES, RowStatus, TaskStatus
from connections.errors import AlreadyConnected, Canceled
from connections.models import (
    DISPATCHED,
    UNFINISHED,
    WAITS_FOR_DISPATCH,
    connect_batch_rejections,
    connect_batches,
    connect_tasks,
)
from connections.outcome import Outcome
from connections.sqltime import from_now

# How far back one looks to say how fast a batch is.
RATE_SECONDS = 60.0

_CANCELED = Outcome.of_error(Canceled().describe())

# A row is a task, and its status the task's; but not every task that failed is a failure to chase.
_ROW_STATUS = case(
    (connect_tasks.c.status == TaskStatus.SUCCEEDED, RowStatus.CONNECTED),
    (connect_tasks.c.status != TaskStatus.FAILED, connect_tasks.c.status),
    (connect_tasks.c.cause == AlreadyConnected.code.lower(), RowStatus.ALREADY_CONNECTED),
    (connect_tasks.c.cause == _CANCELED.cause, RowStatus.CANCELED),
    else_=RowStatus.FAILED,
)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch without its rows. `now` is the instant of reading, by the database's clock."""

    id: str
    platform: str
    total: int
    created_at: datetime
    accepted_at: datetime
    canceled_at: datetime | None
    waits_for: dict[str, Any] | None
    now: datetime


# What a `BatchRow` consists of.
BATCH = (
    connect_batches.c.id,
    connect_batches.c.platform,
    connect_batches.c.total,
    connect_batches.c.created_at,
    connect_batches.c.accepted_at,
    connect_batches.c.canceled_at,
    connect_batches.c.waits_for,
    from_now().label("now"),
)


def batch_of(connection: Connection, workspace_id: str, batch_id: str) -> BatchRow | None:
    """None for one that is still arriving, too."""
    query = select(*BATCH).where(
        connect_batches.c.id == batch_id,
        connect_batches.c.workspace_id == workspace_id,
        connect_batches.c.accepted_at.is_not(None),
    )
    row = connection.execute(query).first()
    return None if row is None else BatchRow(**row._mapping)


@dataclass(frozen=True, slots=True)
class Tally:
    """So many rows that stand, or ended, alike. `ended_lately` of them did within the time that was asked for."""

    status: RowStatus
    cause: str | None
    rows: int
    ended_lately: int = 0
    last_ended_at: datetime | None = None


class BatchRows(NamedTuple):
    """So many batches, with so many rows in all."""

    batches: int
    rows: int


def running_batch_rows(connection: Connection) -> BatchRows:
    """Of the batches that were accepted and have not ended. Their rows are not looked at."""
    query = select(func.count(), func.coalesce(func.sum(connect_batches.c.total), 0)).where(
        UNFINISHED, connect_batches.c.accepted_at.is_not(None)
    )
    return BatchRows(*connection.execute(query).one())


def tallies(connection: Connection, batch_id: str, *, lately: float) -> list[Tally]:
    """The rows that became tasks, counted; `lately` is in seconds."""
    finished_at = connect_tasks.c.finished_at
    query = (
        select(
            _ROW_STATUS,
            connect_tasks.c.cause,
            func.count(),
            func.count().filter(finished_at > from_now(-lately)),
            func.max(finished_at),
        )
        .where(connect_tasks.c.batch_id == batch_id)
        .group_by(connect_tasks.c.status, connect_tasks.c.cause)
    )
    return [Tally(RowStatus(status), *counted) for status, *counted in connection.execute(query)]


def rejection_tallies(connection: Connection, batch_id: str) -> list[Tally]:
    """The rows that were refused at acceptance, counted by the code of their first issue."""
    code = connect_batch_rejections.c.issues[(0, "code")].as_string()
    query = select(code, func.count()).where(connect_batch_rejections.c.batch_id == batch_id).group_by(code)
    return [Tally(RowStatus.REJECTED, cause, rows) for cause, rows in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of a batch: `task_id` and `outcome` of those that became tasks, `issues` of those that were refused."""

    row: int
    external_ref: str | None
    status: RowStatus
    finished_at: datetime | None
    line: int | None = None
    task_id: str | None = None
    attempts: int = 0
    outcome: dict[str, Any] | None = None
    issues: list[dict[str, Any]] | None = None


def results(
    connection: Connection, batch_id: str, *, after: int, limit: int, statuses: Collection[RowStatus] = ()
) -> list[ResultRow]:
    """The next rows after row number `after`, in input order; only those with one of the statuses if any are given."""
    rows: list[ResultRow] = []
    if not statuses or statuses != {RowStatus.REJECTED}:
        rows += _task_results(connection, batch_id, after, limit, statuses)
    if not statuses or RowStatus.REJECTED in statuses:
        rows += _rejected_results(connection, batch_id, after, limit)
    return sorted(rows, key=lambda row: row.row)[:limit]


def _task_results(
    connection: Connection, batch_id: str, after: int, limit: int, statuses: Collection[RowStatus]
) -> list[ResultRow]:
    query = (
        select(
            connect_tasks.c.batch_row.label("row"),
            connect_tasks.c.external_ref,
            _ROW_STATUS.label("status"),
            connect_tasks.c.finished_at,
            connect_tasks.c.id.label("task_id"),
            connect_tasks.c.attempts,
            connect_tasks.c.outcome,
        )
        .where(connect_tasks.c.batch_id == batch_id, connect_tasks.c.batch_row > after)
        .order_by(connect_tasks.c.batch_row)
        .limit(limit)
    )
    if statuses:
        query = query.where(_ROW_STATUS.in_(statuses))
    return [
        ResultRow(**{**row._mapping, "status": RowStatus(row._mapping["status"])}) for row in connection.execute(query)
    ]


def _rejected_results(connection: Connection, batch_id: str, after: int, limit: int) -> list[ResultRow]:
    query = (
        select(
            connect_batch_rejections.c.batch_row.label("row"),
            connect_batch_rejections.c.external_ref,
            connect_batch_rejections.c.created_at.label("finished_at"),
            connect_batch_rejections.c.line,
            connect_batch_rejections.c.issues,
        )
        .where(connect_batch_rejections.c.batch_id == batch_id, connect_batch_rejections.c.batch_row > after)
        .order_by(connect_batch_rejections.c.batch_row)
        .limit(limit)
    )
    return [ResultRow(status=RowStatus.REJECTED, **row._mapping) for row in connection.execute(query)]


def mark_canceled(connection: Connection, workspace_id: str, batch_id: str) -> bool:
    """Notes that no more rows are to be begun. One that is canceled already, or has ended, stays: False."""
    in_flight = select(connect_tasks.c.id).where(
        connect_tasks.c.batch_id == batch_id, connect_tasks.c.status.in_(UNFINISHED_STATUSES)
    )
    change = (
        update(connect_batches)
        .where(
            connect_batches.c.id == batch_id,
            connect_batches.c.workspace_id == workspace_id,
            connect_batches.c.accepted_at.is_not(None),
            connect_batches.c.canceled_at.is_(None),
            in_flight.exists(),
        )
        .values(canceled_at=from_now(), waits_for=null())
    )
    return connection.execute(change).rowcount == 1


def end_canceled(connection: Connection, batch_id: str, limit: int) -> int:
    """Ends rows of a canceled batch on which nobody is working, and says how many; 0 when there are none left.

    Those are the rows that wait for the dispatcher, also after an attempt that was postponed or given up, and those
    that were sent and not begun. Rows that somebody has locked are passed over.
    """
    task = connect_tasks.c
    waiting = select(task.id).where(task.batch_id == batch_id, WAITS_FOR_DISPATCH)
    waiting = waiting.order_by(task.lane, task.dispatch_at, task.batch_row)
    # Any lane: the index begins with it, and has few rows.
    sent = select(task.id).where(task.lane >= "", task.batch_id == batch_id, DISPATCHED)
    sent = sent.where(task.status != TaskStatus.RUNNING)
    task_ids: list[str] = []
    for idle in (waiting, sent):
        locked = idle.limit(limit - len(task_ids)).with_for_update(skip_locked=True)
        task_ids += connection.execute(locked).scalars()
    change = (
        update(connect_tasks)
        .where(task.id.in_(task_ids))
        .values(
            status=TaskStatus.FAILED,
            outcome=_CANCELED.to_row(),
            cause=_CANCELED.cause,
            finished_at=from_now(),
            dispatch_at=None,
            sealed_credentials=None,
            sealing_key=None,
            fingerprint=b"",
        )
    )
    connection.execute(change)
    return len(task_ids)
