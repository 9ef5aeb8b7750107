"""Requests for live sessions: put down by the API, answered by workers, taken away by the API. All within seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from connections.models import IS_ASKED_FOR, accounts, session_requests
from connections.sqltime import from_now


@dataclass(frozen=True, slots=True)
class NewSessionRequest:
    """`public_key` is what the answer is to be sealed to, `reply_to` the API process that waits for it."""

    id: str
    workspace_id: str
    account_id: str
    key_id: str
    request_id: str
    public_key: bytes
    least_seconds: int
    reply_to: str
    traceparent: str | None


def owns_account(connection: Connection, workspace_id: str, account_id: str) -> bool:
    """Whether the workspace has this account, or had it."""
    query = select(accounts.c.id).where(accounts.c.id == account_id, accounts.c.workspace_id == workspace_id)
    return connection.execute(query).first() is not None


def insert_session_request(connection: Connection, request: NewSessionRequest, *, expires_in: float) -> None:
    """Any worker may take it at once, until in `expires_in` seconds nobody waits for it."""
    connection.execute(
        insert(session_requests).values(
            id=request.id,
            workspace_id=request.workspace_id,
            account_id=request.account_id,
            key_id=request.key_id,
            request_id=request.request_id,
            public_key=request.public_key,
            least_seconds=request.least_seconds,
            reply_to=request.reply_to,
            traceparent=request.traceparent,
            created_at=from_now(),
            expires_at=from_now(expires_in),
            available_at=from_now(),
        )
    )


@dataclass(frozen=True, slots=True)
class ClaimedSessionRequest:
    """What a worker needs to answer one."""

    id: str
    workspace_id: str
    account_id: str
    platform: str
    key_id: str
    request_id: str
    public_key: bytes
    least_seconds: int
    reply_to: str
    traceparent: str | None


_CLAIMED = (
    session_requests.c.id,
    session_requests.c.workspace_id,
    session_requests.c.account_id,
    select(accounts.c.platform)
    .where(accounts.c.id == session_requests.c.account_id)
    .scalar_subquery()
    .label("platform"),
    session_requests.c.key_id,
    session_requests.c.request_id,
    session_requests.c.public_key,
    session_requests.c.least_seconds,
    session_requests.c.reply_to,
    session_requests.c.traceparent,
)


def claim_session_request(connection: Connection, request_id: str, *, lease: float) -> ClaimedSessionRequest | None:
    """Takes it for `lease` seconds. None when it is answered, taken, or nobody waits for it any more."""
    row = connection.execute(_claiming(), {"request": request_id, "lease": lease}).first()
    return None if row is None else ClaimedSessionRequest(**row._mapping)


@cache
def _claiming() -> Any:
    return (
        update(session_requests)
        .where(
            session_requests.c.id == bindparam("request"),
            IS_ASKED_FOR,
            session_requests.c.available_at <= from_now(),
            session_requests.c.expires_at > from_now(),
        )
        .values(available_at=from_now("lease"))
        .returning(*_CLAIMED)
    )


def overdue_session_request(connection: Connection, *, late: float) -> str | None:
    """The id of the one that any worker could have taken for the longest time, `late` seconds at least; locked, so that
    no two workers find the same one."""
    return connection.execute(_overdue(), {"late": -late}).scalar()


@cache
def _overdue() -> Any:
    return (
        select(session_requests.c.id)
        .where(
            IS_ASKED_FOR,
            session_requests.c.available_at <= from_now("late"),
            session_requests.c.expires_at > from_now(),
        )
        .order_by(session_requests.c.available_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def finish_session_request(
    connection: Connection, request_id: str, *, sealed_session: bytes | None = None, error: dict[str, Any] | None = None
) -> bool:
    """Leaves the answer for whoever asked. False when there is one already, or nobody to take it."""
    change = (
        update(session_requests)
        .where(session_requests.c.id == request_id, IS_ASKED_FOR)
        .values(finished_at=from_now(), sealed_session=sealed_session, error=error)
    )
    return connection.execute(change).rowcount == 1


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """One that has its answer. What that is stays where it is until it is taken."""

    id: str
    status: str


def answered_session_requests(connection: Connection, request_ids: Sequence[str]) -> list[AnsweredRequest]:
    """Those of the given ones that have an answer: `succeeded` or `failed`."""
    return [AnsweredRequest(**row._mapping) for row in connection.execute(_answered(), {"ids": list(request_ids)})]


@cache
def _answered() -> Any:
    status = case((session_requests.c.sealed_session.is_(None), "failed"), else_="succeeded").label("status")
    return select(session_requests.c.id, status).where(
        session_requests.c.id.in_(bindparam("ids", expanding=True)), session_requests.c.finished_at.is_not(None)
    )


@dataclass(frozen=True, slots=True)
class TakenRequest:
    """With either a session or an error once it has `finished_at`."""

    finished_at: datetime | None
    sealed_session: bytes | None = field(repr=False)
    error: dict[str, Any] | None


def take_session_request(connection: Connection, request_id: str) -> TakenRequest | None:
    """Takes it away, with its answer if there is one. None when it is gone."""
    change = (
        delete(session_requests)
        .where(session_requests.c.id == request_id)
        # Columns alone: SQLite 3.40 takes `… IS NULL` here for that of another column.
        .returning(session_requests.c.finished_at, session_requests.c.sealed_session, session_requests.c.error)
    )
    row = connection.execute(change).first()
    return None if row is None else TakenRequest(**row._mapping)
