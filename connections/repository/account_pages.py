"""Connected accounts as their workspace sees them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select

from connections.contract import AccountStatus, ListedAccount
from connections.models import IS_KEPT_ALIVE, accounts, profiles
from connections.repository.accounts import SHOWN

_LISTED = (
    *SHOWN,
    select(profiles.c.name).where(profiles.c.id == accounts.c.profile_id).scalar_subquery().label("profile_name"),
    accounts.c.external_user_id,
    accounts.c.external_user_email,
)


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts are wanted: all that are not excluded. `profile_id` must be known to be the workspace's."""

    platform: str | None = None
    profile_id: str | None = None
    status: AccountStatus | None = None
    external_user_id: str | None = None


def account_page(
    connection: Connection, workspace_id: str, wanted: AccountFilter, *, before: str | None, limit: int
) -> list[ListedAccount]:
    """The latest first: those that were connected first before the account with the id `before` was."""
    account = accounts.c
    query = select(*_LISTED)
    if wanted.profile_id is not None:
        query = query.where(account.profile_id == wanted.profile_id)
    if wanted.profile_id is None or wanted.external_user_id is not None:
        # Not beside the profile alone, or SQLite might look for the profile's accounts among all of the workspace.
        query = query.where(account.workspace_id == workspace_id)
    if wanted.platform is not None:
        query = query.where(account.platform == wanted.platform)
    if wanted.external_user_id is not None:
        query = query.where(account.external_user_id == wanted.external_user_id)
    if wanted.status is not None and wanted.external_user_id is not None:
        # In these words no database looks for the user's accounts among all of that status.
        query = query.where(account.status.not_in(set(AccountStatus) - {wanted.status}))
    elif wanted.status is not None:
        query = query.where(account.status == wanted.status)
    if before is not None:
        query = query.where(account.id < before)
    page = connection.execute(query.order_by(account.id.desc()).limit(limit))
    return [ListedAccount(**row._mapping) for row in page]


def account_of(connection: Connection, workspace_id: str, account_id: str) -> ListedAccount | None:
    query = select(*_LISTED).where(accounts.c.id == account_id, accounts.c.workspace_id == workspace_id)
    row = connection.execute(query).first()
    return None if row is None else ListedAccount(**row._mapping)


@dataclass(frozen=True, slots=True)
class HealthRow:
    """What an account's row tells of its session. `token_expires_at` is empty once it is disconnected, `refresh_at`
    unless its session is kept alive."""

    id: str
    platform: str
    status: AccountStatus
    connected_at: datetime
    status_since: datetime
    status_cause: str | None
    token_expires_at: datetime | None
    refreshed_at: datetime | None
    refresh_at: datetime | None
    refresh_failures: int
    last_error: dict[str, Any] | None
    last_error_at: datetime | None


def account_health(connection: Connection, workspace_id: str, account_id: str) -> HealthRow | None:
    is_disconnected = accounts.c.status == AccountStatus.DISCONNECTED
    query = select(
        accounts.c.id,
        accounts.c.platform,
        accounts.c.status,
        accounts.c.connected_at,
        func.coalesce(accounts.c.status_since, accounts.c.disconnected_at, accounts.c.connected_at).label(
            "status_since"
        ),
        accounts.c.status_cause,
        case((~is_disconnected, accounts.c.access_expires_at)).label("token_expires_at"),
        accounts.c.refreshed_at,
        case((IS_KEPT_ALIVE, accounts.c.refresh_at)).label("refresh_at"),
        accounts.c.refresh_failures,
        accounts.c.last_error,
        accounts.c.last_error_at,
    ).where(accounts.c.id == account_id, accounts.c.workspace_id == workspace_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else HealthRow(**{**row, "status": AccountStatus(row["status"])})
