"""What operators look at: rows in flight, batches that run, what has ended lately, and one task as a whole.

Nothing here locks, and what is read is bounded or found in an index.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from connections.contract import TaskStatus
from connections.models import (
    HAS_FINISHED,
    IN_FLIGHT,
    UNFINISHED,
    WAITS_FOR_DISPATCH,
    connect_batches,
    connect_tasks,
    profiles,
    workspaces,
)
from connections.repository.batches import BATCH, RATE_SECONDS, BatchRow, Tally, rejection_tallies, tallies
from connections.sqltime import from_now

_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InFlightTally:
    """So many rows of one queue with the same status; the oldest was accepted `oldest_seconds` ago."""

    queue: str
    status: TaskStatus
    rows: int
    oldest_seconds: float


def in_flight_by_queue(connection: Connection) -> list[InFlightTally]:
    """Rows that have not ended, by queue and status. Reads the index of those once, however many rows have ended."""
    task = connect_tasks.c
    query = (
        select(task.queue, task.status, func.count(), func.min(task.created_at), from_now())
        # Any date: it begins the index, and so leads SQLite to it.
        .where(IN_FLIGHT, task.sweep_at > _BEFORE_ALL)
        .group_by(task.queue, task.status)
    )
    return [
        InFlightTally(queue, TaskStatus(status), rows, max(0.0, (now - oldest).total_seconds()))
        for queue, status, rows, oldest, now in connection.execute(query)
    ]


def sweep_lag(connection: Connection) -> float | None:
    """For how many seconds the row that is due for longest waits for the sweep; None while no row is due."""
    sweep_at = connect_tasks.c.sweep_at
    query = select(sweep_at, from_now()).where(IN_FLIGHT, sweep_at <= from_now()).order_by(sweep_at).limit(1)
    row = connection.execute(query).first()
    return None if row is None else float((row[1] - row[0]).total_seconds())


@dataclass(frozen=True, slots=True)
class RunningBatch:
    """A batch whose rows have not all ended, and how they stand."""

    workspace_id: str
    row: BatchRow
    tallies: tuple[Tally, ...]


def running_batches(connection: Connection, limit: int) -> list[RunningBatch]:
    """The oldest `limit` that were accepted and have not ended. Counts the rows of each."""
    batches = connect_batches.c
    query = (
        select(batches.workspace_id, *BATCH)
        .where(UNFINISHED, batches.accepted_at.is_not(None))
        .order_by(batches.created_at, batches.id)
        .limit(limit)
    )
    found = []
    for row in connection.execute(query).mappings():
        values = dict(row)
        workspace_id = values.pop("workspace_id")
        counted = tallies(connection, row["id"], lately=RATE_SECONDS)
        refused = rejection_tallies(connection, row["id"])
        found.append(RunningBatch(workspace_id, BatchRow(**values), (*counted, *refused)))
    return found


@dataclass(frozen=True, slots=True)
class HostQueue:
    """Rows of batches that wait for one host, empty where nobody knows yet which: `due` of them may be sent now."""

    host: str
    rows: int
    due: int


def waiting_by_host(connection: Connection, batch_ids: Collection[str]) -> list[HostQueue]:
    """Rows of these batches that wait for the dispatcher, by the host that they lead to, most rows first."""
    task = connect_tasks.c
    rows, due = Counter[str](), Counter[str]()
    for batch_id in batch_ids:
        query = (
            select(task.lane, func.count(), func.count().filter(task.dispatch_at <= from_now()))
            .where(task.batch_id == batch_id, WAITS_FOR_DISPATCH)
            .group_by(task.lane)
        )
        for lane, count, due_count in connection.execute(query):
            rows[lane] += count
            due[lane] += due_count
    return [HostQueue(lane, count, due[lane]) for lane, count in rows.most_common()]


@dataclass(frozen=True, slots=True)
class Ending:
    """So many tasks that ended alike; without a `cause` they connected an account."""

    status: TaskStatus
    cause: str | None
    rows: int


def endings(connection: Connection, *, seconds: float, count_to: int) -> list[Ending]:
    """How tasks ended in the last `seconds`, most rows first. Of more than `count_to` it counts the latest."""
    task = connect_tasks.c
    query = (
        select(task.status, task.cause)
        .where(HAS_FINISHED, task.finished_at > from_now(-seconds))
        .order_by(task.finished_at.desc())
        .limit(count_to)
    )
    counted = Counter((row[0], row[1]) for row in connection.execute(query))
    return [Ending(TaskStatus(status), cause, rows) for (status, cause), rows in counted.most_common()]


@dataclass(frozen=True, slots=True)
class TaskStory:
    """Everything that a row tells of its task, and nothing that it keeps secret. `now` is the database's clock.

    `batch_canceled_at` and `batch_waits_for` are those of the batch that it is a row of, if it is of one.
    """

    id: str
    status: TaskStatus
    request_id: str
    workspace_id: str
    workspace_name: str
    profile_id: str
    profile_name: str
    platform: str
    queue: str
    lane: str
    attempts: int
    max_attempts: int
    sweeps: int
    reply_to: str | None
    created_at: datetime
    available_at: datetime
    sweep_at: datetime
    expires_at: datetime
    caller_waits_until: datetime | None
    dispatch_at: datetime | None
    finished_at: datetime | None
    outcome: dict[str, Any] | None
    cause: str | None
    batch_id: str | None
    batch_row: int | None
    external_ref: str | None
    batch_total: int | None
    batch_canceled_at: datetime | None
    batch_waits_for: dict[str, Any] | None
    now: datetime


def task_story(connection: Connection, task_id: str) -> TaskStory | None:
    """The task of any workspace, for who runs the service."""
    task, batch = connect_tasks.c, connect_batches.c
    query = (
        select(
            task.id,
            task.status,
            task.request_id,
            task.workspace_id,
            workspaces.c.name.label("workspace_name"),
            task.profile_id,
            profiles.c.name.label("profile_name"),
            task.platform,
            task.queue,
            task.lane,
            task.attempts,
            task.max_attempts,
            task.sweeps,
            task.reply_to,
            task.created_at,
            task.available_at,
            task.sweep_at,
            task.expires_at,
            task.caller_waits_until,
            task.dispatch_at,
            task.finished_at,
            task.outcome,
            task.cause,
            task.batch_id,
            task.batch_row,
            task.external_ref,
            batch.total.label("batch_total"),
            batch.canceled_at.label("batch_canceled_at"),
            batch.waits_for.label("batch_waits_for"),
            from_now().label("now"),
        )
        .join_from(connect_tasks, workspaces, workspaces.c.id == task.workspace_id)
        .join(profiles, profiles.c.id == task.profile_id)
        .outerjoin(connect_batches, batch.id == task.batch_id)
        .where(task.id == task_id)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else TaskStory(**{**row, "status": TaskStatus(row["status"])})
