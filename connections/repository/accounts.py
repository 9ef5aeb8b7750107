"""Connected accounts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from connections.contract import Account, AccountStatus, ConnectionType
from connections.models import CONNECTED_ONCE, accounts
from connections.repository.dialects import insert_into
from connections.sqltime import from_now
from connections.vault import EncryptedSession

# An account as the wire has it.
SHOWN = (
    accounts.c.id,
    accounts.c.profile_id,
    accounts.c.platform,
    accounts.c.account_name,
    accounts.c.status,
    accounts.c.connection_type,
    accounts.c.connected_at,
    accounts.c.external_id.label("external_account_id"),
    accounts.c.display_name,
    accounts.c.avatar_url,
)


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A verified account to be stored."""

    id: str
    workspace_id: str
    profile_id: str
    platform: str
    external_id: str
    account_name: str | None
    display_name: str | None
    avatar_url: str | None
    host: str
    session: EncryptedSession
    access_expires_at: datetime | None = None
    refresh_in: float = 86_400.0
    """Seconds until its session is refreshed for the first time."""
    connection_type: ConnectionType = ConnectionType.BYO
    external_user_id: str | None = None
    external_user_email: str | None = None


def insert_account(connection: Connection, account: NewAccount) -> datetime | None:
    """When it was connected; None, and nothing stored, when the workspace has it connected already."""
    return connection.execute(_insert_one(connection.dialect.name), account_values(account)).scalar()


def insert_accounts(connection: Connection, new: Sequence[NewAccount], *, connected_at: datetime) -> int:
    """How many were stored: all but those that their workspace has connected already."""
    # In one order wherever they are stored at once, or two transactions could wait for each other.
    new = sorted(new, key=lambda account: (account.workspace_id, account.external_id))
    values = [{**account_values(account), "connected_at": connected_at} for account in new]
    return connection.execute(_insert_many(connection.dialect.name), values).rowcount


@cache
def _insert_one(dialect: str) -> Any:
    return _inserting(dialect).values(connected_at=from_now()).returning(accounts.c.connected_at)


@cache
def _insert_many(dialect: str) -> Any:
    return _inserting(dialect).execution_options(preserve_rowcount=True)


def _inserting(dialect: str) -> Any:
    change = insert_into(dialect, accounts).values(status=AccountStatus.ACTIVE, refresh_at=from_now("refresh_in"))
    return change.on_conflict_do_nothing(
        index_elements=["workspace_id", "platform", "external_id"], index_where=CONNECTED_ONCE
    )


def account_values(account: NewAccount) -> dict[str, Any]:
    """By the names of their columns, and `refresh_in`."""
    return {
        "id": account.id,
        "workspace_id": account.workspace_id,
        "profile_id": account.profile_id,
        "platform": account.platform,
        "external_id": account.external_id,
        "account_name": account.account_name,
        "display_name": account.display_name,
        "avatar_url": account.avatar_url,
        "host": account.host,
        "access_token": account.session.access_token,
        "refresh_token": account.session.refresh_token,
        "token_key": account.session.token_key,
        "access_expires_at": account.access_expires_at,
        "refresh_in": account.refresh_in,
        "connection_type": account.connection_type,
        "external_user_id": account.external_user_id,
        "external_user_email": account.external_user_email,
    }


def connected_names(connection: Connection, workspace_id: str, platform: str, names: Collection[str]) -> set[str]:
    """Those of the names under which the workspace has an account connected."""
    parameters = {"workspace": workspace_id, "platform": platform, "names": list(names)}
    return set(connection.execute(_connected_names(), parameters).scalars())


@cache
def _connected_names() -> Any:
    return select(accounts.c.account_name).where(
        accounts.c.workspace_id == bindparam("workspace"),
        accounts.c.platform == bindparam("platform"),
        accounts.c.account_name.in_(bindparam("names", expanding=True)),
        CONNECTED_ONCE,
    )


@dataclass(frozen=True, slots=True)
class ConnectedAccount:
    id: str
    account_name: str | None
    status: str
    external_user_id: str | None


def connected_account(
    connection: Connection, workspace_id: str, platform: str, external_id: str
) -> ConnectedAccount | None:
    query = select(accounts.c.id, accounts.c.account_name, accounts.c.status, accounts.c.external_user_id).where(
        accounts.c.workspace_id == workspace_id,
        accounts.c.platform == platform,
        accounts.c.external_id == external_id,
        CONNECTED_ONCE,
    )
    row = connection.execute(query).first()
    return None if row is None else ConnectedAccount(**row._mapping)


class Place(NamedTuple):
    """Where an account belongs, whatever its status."""

    profile_id: str
    platform: str
    external_id: str


def place_of(connection: Connection, workspace_id: str, account_id: str) -> Place | None:
    query = select(accounts.c.profile_id, accounts.c.platform, accounts.c.external_id).where(
        accounts.c.id == account_id, accounts.c.workspace_id == workspace_id
    )
    row = connection.execute(query).first()
    return None if row is None else Place(*row)


def lock_account(connection: Connection, workspace_id: str, account_id: str) -> Account | None:
    """The account, which nobody else changes until the end of the transaction. None unless it is of the workspace."""
    row = connection.execute(_locking(), {"account": account_id, "workspace": workspace_id}).first()
    return None if row is None else Account(**row._mapping)


@cache
def _locking() -> Any:
    is_it = (accounts.c.id == bindparam("account"), accounts.c.workspace_id == bindparam("workspace"))
    return select(*SHOWN).where(*is_it).with_for_update()
