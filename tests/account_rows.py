"""Rows of accounts, as connects, refreshes and disconnects leave them."""

from typing import Any

from sqlalchemy import func, insert, select

from connections.contract import AccountStatus, ConnectionType
from connections.db import Database
from connections.ids import new_id
from connections.models import accounts, audit_log
from connections.sqltime import from_now
from tests.factories import Tenant


def insert_account(database: Database, tenant: Tenant, **values: Any) -> str:
    """The id of an account of the tenant's first profile that was connected just now, unless `values` say otherwise."""
    account_id: str = values.pop("id", new_id("sa"))
    row = {
        "workspace_id": tenant.workspace_id,
        "profile_id": tenant.profile_ids[0],
        "platform": "bluesky",
        "external_id": f"did:plc:{account_id}",
        "account_name": "alice.test",
        "host": "https://pds.test",
        "status": AccountStatus.ACTIVE,
        "connection_type": ConnectionType.BYO,
        "refresh_token": b"key1.refresh",
        "token_key": "key1",
        **values,
    }
    with database.write() as connection:
        connection.execute(insert(accounts).values(id=account_id, connected_at=from_now(), **row))
    return account_id


def audited(database: Database, tenant: Tenant) -> list[tuple[str, str, str | None, str | None]]:
    """Action, actor, target and request id of all entries of the tenant, by action and time."""
    query = select(audit_log.c.action, audit_log.c.actor, audit_log.c.target, audit_log.c.request_id).where(
        audit_log.c.workspace_id == tenant.workspace_id
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(audit_log.c.action, audit_log.c.id))]


def count_accounts(database: Database, profile_id: str) -> int:
    query = select(func.count()).select_from(accounts).where(accounts.c.profile_id == profile_id)
    with database.read() as connection:
        return connection.execute(query).scalar_one()
