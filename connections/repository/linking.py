"""Links that end users follow, as far as the account that comes of one is concerned."""

from typing import NamedTuple

from sqlalchemy import Connection, select, update

from connections.models import connect_sessions
from connections.sqltime import from_now


class LinkedUser(NamedTuple):
    """Whose account it is in the caller's product."""

    external_user_id: str
    external_user_email: str | None


def linked_user(connection: Connection, connect_session_id: str) -> LinkedUser | None:
    query = select(connect_sessions.c.external_user_id, connect_sessions.c.external_user_email).where(
        connect_sessions.c.id == connect_session_id
    )
    row = connection.execute(query).first()
    return None if row is None else LinkedUser(*row)


def complete_connect_session(connection: Connection, connect_session_id: str, account_id: str) -> None:
    """The link has led to this account. The first one counts."""
    change = (
        update(connect_sessions)
        .where(connect_sessions.c.id == connect_session_id, connect_sessions.c.completed_at.is_(None))
        .values(completed_at=from_now(), account_id=account_id)
    )
    connection.execute(change)
