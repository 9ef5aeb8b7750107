"""Accounts whose session is replaced by a new one, in place."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, null, select, update

from connections.contract import AccountStatus
from connections.models import accounts
from connections.repository.accounts import NewAccount
from connections.repository.refreshing import FREED
from connections.sqltime import from_now


@dataclass(frozen=True, slots=True)
class Kept:
    """What an account keeps when it is reconnected."""

    id: str
    profile_id: str
    external_id: str
    connection_type: str
    connected_at: datetime
    display_name: str | None
    avatar_url: str | None


_KEPT = (
    accounts.c.id,
    accounts.c.profile_id,
    accounts.c.external_id,
    accounts.c.connection_type,
    accounts.c.connected_at,
    accounts.c.display_name,
    accounts.c.avatar_url,
)


def lock_account(connection: Connection, workspace_id: str, account_id: str) -> Kept | None:
    """The account, which nobody else changes until the end of the transaction."""
    query = select(*_KEPT).where(accounts.c.id == account_id, accounts.c.workspace_id == workspace_id)
    row = connection.execute(query.with_for_update()).first()
    return None if row is None else Kept(**row._mapping)


def replace_session(connection: Connection, account: NewAccount) -> None:
    """Gives the account with this id its new session, and all that its platform says of it now; it is active.

    Raises `IntegrityError` when its workspace has connected it anew, under another id.
    """
    values = {
        "account": account.id,
        "account_name": account.account_name,
        "host": account.host,
        "access_token": account.session.access_token,
        "refresh_token": account.session.refresh_token,
        "token_key": account.session.token_key,
        "access_expires_at": account.access_expires_at,
        "refresh_in": account.refresh_in,
    }
    connection.execute(_replacing(), values)


@cache
def _replacing() -> Any:
    return (
        update(accounts)
        .where(accounts.c.id == bindparam("account"))
        .values(
            status=AccountStatus.ACTIVE,
            status_since=from_now(),
            status_cause=null(),
            disconnected_at=null(),
            account_name=bindparam("account_name"),
            host=bindparam("host"),
            access_token=bindparam("access_token"),
            refresh_token=bindparam("refresh_token"),
            token_key=bindparam("token_key"),
            refreshed_at=from_now(),
            access_expires_at=bindparam("access_expires_at"),
            refresh_at=from_now("refresh_in"),
            refresh_fence=FREED,
            refresh_failures=0,
            last_error=null(),
            last_error_at=null(),
        )
    )
