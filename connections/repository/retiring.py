"""Sessions that their account has no use for any more, on their way to be ended at the platform."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from connections.ids import new_id
from connections.models import accounts, retired_sessions
from connections.sqltime import from_now

# For so long a session is tried to be ended. Left alone it would live for months, and with it a token that somebody has
# asked to be gone; a host that does not answer for a week will not do so in the next one.
END_WITHIN_SECONDS = 7 * 86_400.0


def retire_sessions(connection: Connection, account_id: str) -> None:
    """Whatever refresh tokens the account has, now and of the last two hours, are to be ended from now on.

    The current one is copied as it is, encrypted, and stays in the account's row, which is the caller's: locked before,
    or a refresh could store another one in between, and written afterwards.
    """
    parameters = {"account": account_id}
    connection.execute(_retire_current(), {**parameters, "session": new_id("rs")})
    connection.execute(_retire_replaced(), parameters)


@cache
def _retire_current() -> Any:
    copied = ("platform", "host", "refresh_token", "token_key")
    current = select(
        bindparam("session", type_=retired_sessions.c.id.type),
        accounts.c.id,
        *(accounts.c[name] for name in copied),
        from_now(),
        from_now(),
        from_now(END_WITHIN_SECONDS),
    ).where(accounts.c.id == bindparam("account"), accounts.c.refresh_token.is_not(None))
    return insert(retired_sessions).from_select(
        ["id", "account_id", *copied, "retired_at", "end_at", "expires_at"], current
    )


@cache
def _retire_replaced() -> Any:
    """These end by themselves soon, which is when they are given up."""
    return (
        update(retired_sessions)
        .where(retired_sessions.c.account_id == bindparam("account"), retired_sessions.c.end_at.is_(None))
        .values(end_at=from_now())
    )
