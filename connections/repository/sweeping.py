"""Connect tasks that the sweep brings back, or ends."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update

from connections.models import IN_BATCH, IN_FLIGHT, connect_tasks
from connections.repository.tasks import ASKED_BY
from connections.sqltime import at_most, from_now


@dataclass(frozen=True, slots=True)
class DueTask:
    """A task whose message is missing, late or due."""

    id: str
    batch_id: str | None
    queue: str
    reply_to: str | None
    attempts: int
    max_attempts: int
    fence: int
    has_expired: bool
    sweeps: int
    outcome: dict[str, Any] | None
    traceparent: str | None
    workspace_id: str
    request_id: str
    key_id: str | None
    account_id: str | None
    connect_session_id: str | None


def due_tasks(connection: Connection, *, limit: int) -> list[DueTask]:
    """Open tasks that the sweep must look at, oldest first, locked so that two sweeps never take the same ones."""
    query = (
        select(
            connect_tasks.c.id,
            connect_tasks.c.batch_id,
            connect_tasks.c.queue,
            connect_tasks.c.reply_to,
            connect_tasks.c.attempts,
            connect_tasks.c.max_attempts,
            connect_tasks.c.fence,
            (connect_tasks.c.expires_at <= from_now()).label("has_expired"),
            connect_tasks.c.sweeps,
            connect_tasks.c.outcome,
            connect_tasks.c.traceparent,
            *ASKED_BY,
        )
        .where(IN_FLIGHT, connect_tasks.c.sweep_at <= from_now())
        .order_by(connect_tasks.c.sweep_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [DueTask(**row._mapping) for row in connection.execute(query)]


def mark_swept(connection: Connection, task_ids: Collection[str], *, sweep_in: float) -> None:
    """The next look is in `sweep_in` seconds, or when the task expires."""
    change = (
        update(connect_tasks)
        .where(connect_tasks.c.id.in_(task_ids))
        .values(
            sweep_at=at_most(connect_tasks.c.expires_at, sweep_in),
            sweeps=connect_tasks.c.sweeps + 1,
        )
    )
    connection.execute(change)


def give_back(connection: Connection, task_ids: Collection[str]) -> None:
    """Leaves rows of batches that were sent and not begun, or whose lease is over, to the dispatcher again."""
    change = (
        update(connect_tasks)
        .where(
            connect_tasks.c.id.in_(task_ids),
            IN_FLIGHT,
            IN_BATCH,
            connect_tasks.c.dispatch_at.is_(None),
            connect_tasks.c.available_at <= from_now(),
        )
        .values(dispatch_at=from_now(), sweep_at=connect_tasks.c.expires_at, sweeps=0)
    )
    connection.execute(change)
