"""Attempts at connect tasks: claimed, given back, postponed and ended by workers.

Each claim raises the task's fence, which whatever comes of the attempt must match.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Update, bindparam, case, null, select, update

from connections.contract import TaskStatus
from connections.models import IN_BATCH, IN_FLIGHT, connect_tasks
from connections.repository.tasks import ASKED_BY
from connections.sqltime import at_most, from_now


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """What a worker needs for one attempt; `outcome` is that of the last one.

    All instants are by the database's clock.
    """

    id: str
    workspace_id: str
    profile_id: str
    platform: str
    queue: str
    request_id: str
    sealed_credentials: bytes = field(repr=False)
    reply_to: str | None
    attempts: int
    max_attempts: int
    fence: int
    created_at: datetime
    claimed_at: datetime
    expires_at: datetime
    caller_waits_until: datetime | None
    batch_id: str | None
    outcome: dict[str, Any] | None = None
    traceparent: str | None = None
    key_id: str | None = None
    account_id: str | None = None
    connect_session_id: str | None = None
    claimed_monotonic: float = field(default_factory=time.monotonic)
    """When this process learned of it, by its own clock."""

    def database_time(self) -> datetime:
        """Now, by the database's clock, without asking it: for as long as an attempt takes, clocks go alike."""
        return self.claimed_at + timedelta(seconds=time.monotonic() - self.claimed_monotonic)


_CLAIMED = (
    *ASKED_BY,
    connect_tasks.c.id,
    connect_tasks.c.profile_id,
    connect_tasks.c.platform,
    connect_tasks.c.queue,
    connect_tasks.c.sealed_credentials,
    connect_tasks.c.reply_to,
    connect_tasks.c.attempts,
    connect_tasks.c.max_attempts,
    connect_tasks.c.fence,
    connect_tasks.c.created_at,
    from_now().label("claimed_at"),
    connect_tasks.c.expires_at,
    connect_tasks.c.caller_waits_until,
    connect_tasks.c.batch_id,
    connect_tasks.c.outcome,
    connect_tasks.c.traceparent,
)


def claim_tasks(connection: Connection, task_ids: Sequence[str], *, lease: float, sweep_in: float) -> list[ClaimedTask]:
    """Takes tasks for `lease` seconds and counts an attempt of each: those that are not settled, taken or not due yet,
    in the order of the ids."""
    result = connection.execute(_claiming(), {"ids": list(task_ids), "lease": lease, "sweep_in": sweep_in})
    names = list(result.keys())
    tasks = [ClaimedTask(**dict(zip(names, row, strict=True))) for row in result]
    claimed = {task.id: task for task in tasks}
    return [claimed[task_id] for task_id in task_ids if task_id in claimed]


@cache
def _claiming() -> Any:
    return (
        update(connect_tasks)
        .where(
            connect_tasks.c.id.in_(bindparam("ids", expanding=True)),
            IN_FLIGHT,
            connect_tasks.c.available_at <= from_now(),
        )
        .values(
            status=TaskStatus.RUNNING,
            attempts=connect_tasks.c.attempts + 1,
            fence=connect_tasks.c.fence + 1,
            available_at=from_now("lease"),
            sweep_at=from_now("sweep_in"),
            sweeps=0,
            dispatch_at=None,
        )
        .returning(*_CLAIMED)
    )


def unclaim_tasks(connection: Connection, claims: Collection[tuple[str, int]]) -> None:
    """Leaves rows of batches whose attempt was not begun to the dispatcher again, at the cost of no attempt.

    `claims` are ids and fences; those that are no longer the last ones change nothing.
    """
    change = (
        update(connect_tasks)
        .where(connect_tasks.c.id == bindparam("task_id"), connect_tasks.c.fence == bindparam("claim"), IN_FLIGHT)
        .values(
            status=case((connect_tasks.c.outcome.is_(null()), TaskStatus.QUEUED), else_=TaskStatus.RETRYING),
            attempts=connect_tasks.c.attempts - 1,
            available_at=from_now(),
            sweep_at=connect_tasks.c.expires_at,
            dispatch_at=from_now(),
        )
    )
    connection.execute(change, [{"task_id": task_id, "claim": fence} for task_id, fence in claims])


def finish_task(
    connection: Connection,
    task_id: str,
    *,
    fence: int,
    status: TaskStatus,
    outcome: dict[str, Any],
    cause: str | None = None,
) -> bool:
    """Ends the task and erases what tells of its credentials. `cause` says in one word why it did not succeed.

    False when the claim with this fence is no longer the last one.
    """
    ended = {"task_id": task_id, "claim": fence, "status": status, "outcome": outcome, "cause": cause}
    return connection.execute(ending(), ended).rowcount == 1


class EndedTask(NamedTuple):
    """A task that has ended with an account, by the claim with this fence."""

    id: str
    fence: int
    outcome: dict[str, Any]


def succeed_tasks(connection: Connection, ended: Sequence[EndedTask]) -> int:
    """As `finish_task`, for many that have succeeded: how many of them were still to be ended by these claims."""
    how = {"status": TaskStatus.SUCCEEDED, "cause": None}
    values = [{"task_id": task.id, "claim": task.fence, "outcome": task.outcome, **how} for task in ended]
    return connection.execute(ending(), values).rowcount


@cache
def ending() -> Update:
    """Of the task and the claim that are its parameters, if the claim is still the last one."""
    return (
        update(connect_tasks)
        .where(connect_tasks.c.id == bindparam("task_id"), connect_tasks.c.fence == bindparam("claim"), IN_FLIGHT)
        .values(finished_at=from_now(), dispatch_at=None, sealed_credentials=None, sealing_key=None, fingerprint=b"")
    )


def has_succeeded(connection: Connection, task_id: str, *, fence: int) -> bool:
    """Whether the claim with this fence has ended the task with an account."""
    query = select(connect_tasks.c.id).where(
        connect_tasks.c.id == task_id, connect_tasks.c.fence == fence, connect_tasks.c.status == TaskStatus.SUCCEEDED
    )
    return connection.execute(query).first() is not None


def postpone_task(
    connection: Connection,
    task_id: str,
    *,
    fence: int,
    attempts: int,
    delay: float,
    sweep_in: float,
    outcome: dict[str, Any] | None,
    expires_in: float | None = None,
    lane: str | None = None,
) -> bool:
    """Plans the next attempt in `delay` seconds. False when the claim with this fence is no longer the last one.

    Until then the task is retrying with this `outcome`, or queued without one. A row of a batch is left to the
    dispatcher, in its `lane` if one is given. `expires_in` shortens the task's life,
    never lengthens it.
    """
    expires_at = connect_tasks.c.expires_at if expires_in is None else at_most(connect_tasks.c.expires_at, expires_in)
    change = (
        update(connect_tasks)
        .where(connect_tasks.c.id == task_id, connect_tasks.c.fence == fence, IN_FLIGHT)
        .values(
            status=TaskStatus.QUEUED if outcome is None else TaskStatus.RETRYING,
            outcome=null() if outcome is None else outcome,
            attempts=attempts,
            available_at=from_now(delay),
            expires_at=expires_at,
            sweep_at=case((IN_BATCH, expires_at), else_=from_now(sweep_in)),
            sweeps=0,
            dispatch_at=case((IN_BATCH, from_now(delay))),
            lane=connect_tasks.c.lane if lane is None else lane,
        )
    )
    return connection.execute(change).rowcount == 1


def release_task(connection: Connection, task_id: str, *, fence: int) -> bool:
    """Ends the lease of an attempt that nobody will settle: any worker may claim the task now, the sweep sends it now,
    or the dispatcher if it is a row of a batch.

    False when the attempt is settled, or the claim with this fence is no longer the last one.
    """
    change = (
        update(connect_tasks)
        .where(
            connect_tasks.c.id == task_id,
            connect_tasks.c.fence == fence,
            connect_tasks.c.status == TaskStatus.RUNNING,
        )
        .values(
            available_at=from_now(),
            sweep_at=case((IN_BATCH, connect_tasks.c.expires_at), else_=from_now()),
            dispatch_at=case((IN_BATCH, from_now())),
        )
    )
    return connection.execute(change).rowcount == 1
