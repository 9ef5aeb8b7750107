"""Connect tasks: accepted by the API, claimed, postponed and finished by workers, brought back by the sweep."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Update, and_, bindparam, case, null, select, update

from connections.contract import FINAL_STATUSES, TaskStatus
from connections.models import IN_BATCH, IN_FLIGHT, connect_tasks
from connections.repository.dialects import insert_into
from connections.sqltime import at_most, from_now
from connections.vault import key_id_of


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as its readers see it; no secret among the columns."""

    id: str
    workspace_id: str
    profile_id: str
    platform: str
    status: TaskStatus
    attempts: int
    max_attempts: int
    available_at: datetime
    created_at: datetime
    finished_at: datetime | None
    outcome: dict[str, Any] | None
    batch_id: str | None
    account_id: str | None = None
    """The account that it reconnects, if it does."""


_TASK = (
    connect_tasks.c.id,
    connect_tasks.c.workspace_id,
    connect_tasks.c.profile_id,
    connect_tasks.c.platform,
    connect_tasks.c.status,
    connect_tasks.c.attempts,
    connect_tasks.c.max_attempts,
    connect_tasks.c.available_at,
    connect_tasks.c.created_at,
    connect_tasks.c.finished_at,
    connect_tasks.c.outcome,
    connect_tasks.c.batch_id,
    connect_tasks.c.account_id,
)


def _task(row: Row[*tuple[Any, ...]]) -> TaskRow:
    values = dict(row._mapping)
    values["status"] = TaskStatus(values["status"])
    return TaskRow(**values)


def insert_task(
    connection: Connection,
    *,
    task_id: str,
    workspace_id: str,
    profile_id: str,
    platform: str,
    queue: str,
    request_id: str,
    sealed_credentials: bytes,
    fingerprint: bytes,
    reply_to: str | None,
    caller_waits: float | None,
    max_attempts: int,
    expires_in: float,
    sweep_in: float,
    key_id: str,
    account_id: str | None = None,
    connect_session_id: str | None = None,
    traceparent: str | None = None,
) -> TaskRow | None:
    """None, and nothing stored, when an identical request is in flight. Times are seconds from now."""
    values = {
        "id": task_id,
        "workspace_id": workspace_id,
        "profile_id": profile_id,
        "platform": platform,
        "queue": queue,
        "request_id": request_id,
        "sealed_credentials": sealed_credentials,
        "sealing_key": key_id_of(sealed_credentials),
        "fingerprint": fingerprint,
        "reply_to": reply_to,
        "max_attempts": max_attempts,
        "sweep_in": sweep_in,
        "expires_in": expires_in,
        "key_id": key_id,
    }
    if caller_waits is not None:
        values["caller_waits"] = caller_waits
    rare = {"account_id": account_id, "connect_session_id": connect_session_id, "traceparent": traceparent}
    values |= {name: value for name, value in rare.items() if value is not None}
    change = _insert_task(connection.dialect.name, has_caller=caller_waits is not None)
    row = connection.execute(change, values).first()
    return None if row is None else _task(row)


@cache
def _insert_task(dialect: str, *, has_caller: bool) -> Any:
    change = insert_into(dialect, connect_tasks).values(
        status=TaskStatus.QUEUED,
        attempts=0,
        fence=0,
        sweeps=0,
        caller_waits_until=from_now("caller_waits") if has_caller else None,
        available_at=from_now(),
        sweep_at=from_now("sweep_in"),
        expires_at=from_now("expires_in"),
        created_at=from_now(),
    )
    change = change.on_conflict_do_nothing(index_elements=["workspace_id", "fingerprint"], index_where=IN_FLIGHT)
    return change.returning(*_TASK)


# Who asked for it and for which account, as `connections.audit` wants to know.
_ASKED_BY = (
    connect_tasks.c.workspace_id,
    connect_tasks.c.request_id,
    connect_tasks.c.key_id,
    connect_tasks.c.account_id,
    connect_tasks.c.connect_session_id,
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The unfinished task of an identical request; `has_expired` when it only waits to be ended."""

    id: str
    attempts: int
    max_attempts: int
    fence: int
    has_expired: bool
    workspace_id: str
    request_id: str
    key_id: str | None
    account_id: str | None
    connect_session_id: str | None


def task_in_flight(connection: Connection, workspace_id: str, fingerprint: bytes) -> InFlight | None:
    query = select(
        connect_tasks.c.id,
        connect_tasks.c.attempts,
        connect_tasks.c.max_attempts,
        connect_tasks.c.fence,
        and_(connect_tasks.c.expires_at <= from_now(), connect_tasks.c.available_at <= from_now()).label("has_expired"),
        *_ASKED_BY,
    ).where(connect_tasks.c.workspace_id == workspace_id, connect_tasks.c.fingerprint == fingerprint, IN_FLIGHT)
    row = connection.execute(query).first()
    return None if row is None else InFlight(**row._mapping)


def make_patient(connection: Connection, task_id: str, *, max_attempts: int, expires_in: float) -> None:
    """Lets a task that somebody waits for be tried as hard as one that is polled, because now it is polled too."""
    change = (
        update(connect_tasks)
        .where(connect_tasks.c.id == task_id, IN_FLIGHT, connect_tasks.c.max_attempts < max_attempts)
        .values(caller_waits_until=None, max_attempts=max_attempts, expires_at=from_now(expires_in))
    )
    connection.execute(change)


def extend_wait(connection: Connection, task_id: str, *, seconds: float, reply_to: str) -> None:
    """Notes that somebody waits for the task again, or longer than those before. Not for a task that is polled."""
    change = (
        update(connect_tasks)
        .where(
            connect_tasks.c.id == task_id,
            IN_FLIGHT,
            # A second more or less decides nothing, and many who come at once need not all write.
            connect_tasks.c.caller_waits_until < from_now(seconds - 1.0),
        )
        .values(caller_waits_until=from_now(seconds), reply_to=reply_to)
    )
    connection.execute(change)


def task_of(connection: Connection, workspace_id: str, task_id: str) -> TaskRow | None:
    query = select(*_TASK).where(connect_tasks.c.id == task_id, connect_tasks.c.workspace_id == workspace_id)
    row = connection.execute(query).first()
    return None if row is None else _task(row)


def finished_tasks(connection: Connection, task_ids: Collection[str]) -> list[TaskRow]:
    """Those of the given tasks that have ended."""
    return [_task(row) for row in connection.execute(_finished_tasks(), {"ids": list(task_ids)})]


@cache
def _finished_tasks() -> Any:
    return select(*_TASK).where(
        connect_tasks.c.id.in_(bindparam("ids", expanding=True)), connect_tasks.c.status.in_(FINAL_STATUSES)
    )


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


_CLAIMED = (
    *_ASKED_BY,
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
    rows = connection.execute(_claiming(), {"ids": list(task_ids), "lease": lease, "sweep_in": sweep_in})
    claimed = {row.id: ClaimedTask(**row._mapping) for row in rows}
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
    return connection.execute(_ending(), ended).rowcount == 1


class EndedTask(NamedTuple):
    """A task that has ended with an account, by the claim with this fence."""

    id: str
    fence: int
    outcome: dict[str, Any]


def succeed_tasks(connection: Connection, ended: Sequence[EndedTask]) -> int:
    """As `finish_task`, for many that have succeeded: how many of them were still to be ended by these claims."""
    how = {"status": TaskStatus.SUCCEEDED, "cause": None}
    values = [{"task_id": task.id, "claim": task.fence, "outcome": task.outcome, **how} for task in ended]
    return connection.execute(_ending(), values).rowcount


@cache
def _ending() -> Update:
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
            *_ASKED_BY,
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
