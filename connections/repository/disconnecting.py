"""Accounts that are taken out of their workspace."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, bindparam, null, select, update

from connections.contract import AccountStatus
from connections.models import accounts
from connections.repository.refreshing import FREED
from connections.sqltime import from_now


@dataclass(frozen=True, slots=True)
class AccountToLeave:
    """An account as the API shows it."""

    id: str
    profile_id: str
    platform: str
    external_id: str
    account_name: str | None
    display_name: str | None
    avatar_url: str | None
    status: AccountStatus
    connection_type: str
    connected_at: datetime


def account_to_leave(connection: Connection, workspace_id: str, account_id: str) -> AccountToLeave | None:
    """The account, which nobody else writes until the end of the transaction. None unless it is of the workspace."""
    row = connection.execute(_account(), {"account": account_id, "workspace": workspace_id}).first()
    return None if row is None else AccountToLeave(**{**row._mapping, "status": AccountStatus(row.status)})


@cache
def _account() -> Any:
    columns = [accounts.c[name] for name in AccountToLeave.__dataclass_fields__]
    return (
        select(*columns)
        .where(accounts.c.id == bindparam("account"), accounts.c.workspace_id == bindparam("workspace"))
        .with_for_update()
    )


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
