"""Connect tasks as the API stores, joins and reads them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, select, update

from connections.contract import FINAL_STATUSES, TaskStatus
from connections.models import IN_FLIGHT, connect_tasks
from connections.repository.dialects import insert_into
from connections.sqltime import from_now
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
ASKED_BY = (
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
        *ASKED_BY,
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
