"""Accounts that are taken out of their workspace."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, null, update

from connections.contract import AccountStatus
from connections.models import accounts
from connections.repository.refreshing import FREED
from connections.sqltime import from_now


def disconnect_account(connection: Connection, account_id: str) -> None:
    """Erases the account's session, and lets its workspace connect the same account again. A refresh that is under way
    stores nothing any more."""
    connection.execute(_disconnect(), {"account": account_id})


@cache
def _disconnect() -> Any:
    return (
        update(accounts)
        .where(accounts.c.id == bindparam("account"))
        .values(
            status=AccountStatus.DISCONNECTED,
            status_since=from_now(),
            status_cause=null(),
            disconnected_at=from_now(),
            access_token=null(),
            refresh_token=null(),
            token_key=null(),
            access_expires_at=null(),
            refresh_fence=FREED,
        )
    )
