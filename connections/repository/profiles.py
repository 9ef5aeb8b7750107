"""Profiles and the workspace as their holders see and change them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from connections.contract import AccountStatus, Profile, Workspace
from connections.models import IN_FLIGHT, IS_THERE, accounts, connect_tasks, profiles, workspaces
from connections.sqltime import from_now

# What a workspace can do here.
_USAGE_MODES = ["connect"]

_CONNECTED = (AccountStatus.ACTIVE, AccountStatus.RECONNECT_REQUIRED)


def _account_count(profile_id: ColumnElement[str]) -> ColumnElement[int]:
    """Counted in the index, a profile at a time. A counter in its row would make all workers wait for that row."""
    query = select(func.count()).where(accounts.c.profile_id == profile_id, accounts.c.status.in_(_CONNECTED))
    return query.scalar_subquery()


_PROFILE = (
    profiles.c.id,
    profiles.c.workspace_id,
    profiles.c.name,
    _account_count(profiles.c.id).label("account_count"),
    profiles.c.created_at,
    func.coalesce(profiles.c.updated_at, profiles.c.created_at).label("updated_at"),
    profiles.c.branding_logo_url,
    profiles.c.branding_display_name,
    profiles.c.branding_primary_color,
)


def profile_of(connection: Connection, workspace_id: str, profile_id: str) -> Profile | None:
    """None for one that was deleted, too."""
    query = select(*_PROFILE).where(profiles.c.id == profile_id, profiles.c.workspace_id == workspace_id, IS_THERE)
    row = connection.execute(query).first()
    return None if row is None else Profile(**row._mapping)


def profile_page(connection: Connection, workspace_id: str, *, before: str | None, limit: int) -> list[Profile]:
    """The latest first: those that were made before the profile with the id `before`."""
    query = select(*_PROFILE).where(profiles.c.workspace_id == workspace_id, IS_THERE)
    if before is not None:
        query = query.where(profiles.c.id < before)
    return [Profile(**row._mapping) for row in connection.execute(query.order_by(profiles.c.id.desc()).limit(limit))]


def profile_named(connection: Connection, workspace_id: str, name: str) -> str | None:
    """The id of a profile with this name. Whoever is about to give it to another must have locked the workspace."""
    query = select(profiles.c.id).where(profiles.c.workspace_id == workspace_id, profiles.c.name == name, IS_THERE)
    return connection.execute(query.limit(1)).scalar()


def change_profile(connection: Connection, profile_id: str, changes: dict[str, Any]) -> None:
    """`changes` are by the names of their columns."""
    change = update(profiles).where(profiles.c.id == profile_id).values(updated_at=from_now(), **changes)
    connection.execute(change)


def lock_profile(connection: Connection, workspace_id: str, profile_id: str) -> bool:
    """Until the transaction ends no row can be added that names the profile. False when there is no such profile."""
    query = select(profiles.c.id).where(profiles.c.id == profile_id, profiles.c.workspace_id == workspace_id, IS_THERE)
    return connection.execute(query.with_for_update()).first() is not None


@dataclass(frozen=True, slots=True)
class ProfileUse:
    """What belongs to a profile: accounts that are not disconnected, and connect tasks that have not ended."""

    accounts: int
    unfinished_tasks: int


def use_of_profile(connection: Connection, workspace_id: str, profile_id: str) -> ProfileUse:
    """In one statement: between two a task could end, and neither would see it, nor the account that it connected."""
    task = connect_tasks.c
    in_flight = select(func.count()).where(task.workspace_id == workspace_id, task.profile_id == profile_id, IN_FLIGHT)
    query = select(_account_count(profiles.c.id), in_flight.scalar_subquery()).where(profiles.c.id == profile_id)
    return ProfileUse(*connection.execute(query).one())


def mark_profile_deleted(connection: Connection, profile_id: str) -> None:
    connection.execute(update(profiles).where(profiles.c.id == profile_id).values(deleted_at=from_now()))


def workspace_of(connection: Connection, workspace_id: str) -> Workspace:
    query = select(
        workspaces.c.id,
        workspaces.c.name,
        workspaces.c.per_account_monthly_limit,
        workspaces.c.return_urls,
        workspaces.c.created_at,
        func.coalesce(workspaces.c.updated_at, workspaces.c.created_at).label("updated_at"),
    ).where(workspaces.c.id == workspace_id)
    row = connection.execute(query).mappings().one()
    return Workspace(**{**row, "return_urls": row["return_urls"] or [], "usage_modes": _USAGE_MODES})


def lock_workspace(connection: Connection, workspace_id: str) -> None:
    """Until the transaction ends nobody else changes the workspace or the names of its profiles. Accounts are connected
    meanwhile."""
    query = select(workspaces.c.id).where(workspaces.c.id == workspace_id)
    connection.execute(query.with_for_update(key_share=True))


def change_workspace(connection: Connection, workspace_id: str, changes: dict[str, Any]) -> None:
    """`changes` are by the names of their columns."""
    change = update(workspaces).where(workspaces.c.id == workspace_id).values(updated_at=from_now(), **changes)
    connection.execute(change)
