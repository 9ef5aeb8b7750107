"""Sessions that are to be ended at their platform: taken one at a time, and forgotten once they are."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from connections.models import IS_TO_BE_ENDED, retired_sessions
from connections.sqltime import at_most, from_now


@dataclass(frozen=True, slots=True)
class RetiredSession:
    """What a worker needs to end a session. `attempts` are those before this one; all instants are by the database's
    clock."""

    id: str
    account_id: str
    platform: str
    host: str
    refresh_token: bytes = field(repr=False)
    retired_at: datetime
    expires_at: datetime
    claimed_at: datetime
    attempts: int
    fence: int


def claim_session(connection: Connection, *, lease: float) -> RetiredSession | None:
    """Takes the session that has been due longest for `lease` seconds; None when none is due. One that another claims
    in this moment is passed over."""
    row = connection.execute(_claiming(), {"lease": lease}).first()
    return None if row is None else RetiredSession(**row._mapping)


@cache
def _claiming() -> Any:
    sessions = retired_sessions.c
    # A common table expression, because Postgres may run a subquery more than once, and with it the limit.
    due = (
        select(sessions.id)
        .where(IS_TO_BE_ENDED, sessions.end_at <= from_now())
        .order_by(sessions.end_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("over")
    )
    columns = [sessions[name] for name in RetiredSession.__dataclass_fields__ if name != "claimed_at"]
    return (
        update(retired_sessions)
        .where(sessions.id.in_(select(due.c.id)))
        .values(fence=sessions.fence + 1, end_at=from_now("lease"))
        .returning(*columns, from_now().label("claimed_at"))
    )


def forget_session(connection: Connection, session_id: str, *, fence: int) -> bool:
    """Its token is erased with it. False when the claim with this fence is no longer the last one."""
    return connection.execute(_forgetting(), {"session": session_id, "claim": fence}).rowcount == 1


@cache
def _forgetting() -> Any:
    return delete(retired_sessions).where(_is_claimed())


def postpone_session(connection: Connection, session_id: str, *, fence: int, delay: float) -> bool:
    """Counts an attempt that has failed; the next is due in `delay` seconds, or when the session is to be given up.

    False when the claim with this fence is no longer the last one.
    """
    parameters = {"session": session_id, "claim": fence, "delay": delay}
    return connection.execute(_postponing(), parameters).rowcount == 1


@cache
def _postponing() -> Any:
    sessions = retired_sessions.c
    return (
        update(retired_sessions)
        .where(_is_claimed())
        .values(attempts=sessions.attempts + 1, end_at=at_most(sessions.expires_at, "delay"))
    )


def _is_claimed() -> Any:
    return (retired_sessions.c.id == bindparam("session")) & (retired_sessions.c.fence == bindparam("claim"))


def sessions_to_end(connection: Connection) -> int:
    """How many are still to be ended, due or not; there are few unless a host is away."""
    return connection.execute(select(func.count()).select_from(retired_sessions).where(IS_TO_BE_ENDED)).scalar_one()
