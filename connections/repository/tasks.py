"""Connect tasks as the API stores, joins and reads them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, Connection, Row, and_, bindparam, func, literal, select, update

from connections.contract import FINAL_STATUSES, TaskStatus
from connections.models import IN_FLIGHT, IS_THERE, connect_tasks, profiles
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
    is_only: bool = False,
    account_id: str | None = None,
    connect_session_id: str | None = None,
    traceparent: str | None = None,
) -> TaskRow | None:
    """None, and nothing stored, when an identical request is in flight, or when this is not a profile of the workspace,
    or with `is_only` not the only one. Times are seconds from now.

    The profile is not deleted until the transaction ends.
    """
    values = {
        "id": task_id,
        "workspace_id": workspace_id,
        "profile": profile_id,
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
        "account_id": account_id,
        "connect_session_id": connect_session_id,
        "traceparent": traceparent,
    }
    if caller_waits is not None:
        values["caller_waits"] = caller_waits
    change = _insert_task(connection.dialect.name, has_caller=caller_waits is not None, is_only=is_only)
    row = connection.execute(change, values).first()
    return None if row is None else _task(row)


_GIVEN = (
    connect_tasks.c.id,
    connect_tasks.c.workspace_id,
    connect_tasks.c.platform,
    connect_tasks.c.queue,
    connect_tasks.c.request_id,
    connect_tasks.c.sealed_credentials,
    connect_tasks.c.sealing_key,
    connect_tasks.c.fingerprint,
    connect_tasks.c.reply_to,
    connect_tasks.c.max_attempts,
    connect_tasks.c.key_id,
    connect_tasks.c.account_id,
    connect_tasks.c.connect_session_id,
    connect_tasks.c.traceparent,
)


@cache
def _insert_task(dialect: str, *, has_caller: bool, is_only: bool) -> Any:
    in_it = _profile_to_be_in(is_only=is_only)
    values: dict[Any, Any] = {column.name: bindparam(column.name, type_=column.type) for column in _GIVEN}
    values |= {
        "profile_id": in_it.c.id,
        "status": literal(TaskStatus.QUEUED.value, connect_tasks.c.status.type),
        "attempts": literal(0),
        "fence": literal(0),
        "sweeps": literal(0),
        "available_at": from_now(),
        "sweep_at": from_now("sweep_in"),
        "expires_at": from_now("expires_in"),
        "created_at": from_now(),
    }
    if has_caller:
        values["caller_waits_until"] = from_now("caller_waits")
    one = select(func.count()).select_from(in_it).scalar_subquery() == 1
    row = select(*values.values()).select_from(in_it).where(in_it.c.id == bindparam("profile"), one)
    change = insert_into(dialect, connect_tasks).from_select(list(values), row)
    change = change.on_conflict_do_nothing(index_elements=["workspace_id", "fingerprint"], index_where=IN_FLIGHT)
    return change.returning(*_TASK)


def _profile_to_be_in(*, is_only: bool) -> CTE:
    query = select(profiles.c.id).where(profiles.c.workspace_id == bindparam("workspace_id"), IS_THERE).limit(2)
    if not is_only:
        query = query.where(profiles.c.id == bindparam("profile"))
    return query.with_for_update(read=True, key_share=True).cte("in_it")


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
