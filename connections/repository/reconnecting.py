"""Accounts whose session is replaced by a new one, in place."""

from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, null, select, update

from connections.contract import Account, AccountStatus
from connections.models import accounts
from connections.repository.accounts import SHOWN, NewAccount
from connections.repository.refreshing import FREED
from connections.sqltime import from_now


def is_left_since(connection: Connection, account_id: str, moment: datetime) -> bool:
    """Whether the account was disconnected after this instant of the database's clock."""
    query = select(accounts.c.id).where(accounts.c.id == account_id, accounts.c.disconnected_at > moment)
    return connection.execute(query).first() is not None


def replace_session(connection: Connection, account: NewAccount) -> Account:
    """Gives the account with this id its new session, and all that its platform says of it now; it is active. The
    account as it is then.

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
    return Account(**connection.execute(_replacing(), values).one()._mapping)


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
        .returning(*SHOWN)
    )
