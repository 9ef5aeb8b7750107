"""Workspaces, their profiles and their API keys."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, func, insert, select, update

from connections.models import IS_THERE, api_keys, profiles, workspaces
from connections.sqltime import from_now


def insert_workspace(connection: Connection, *, workspace_id: str, name: str) -> None:
    connection.execute(insert(workspaces).values(id=workspace_id, name=name, created_at=from_now()))


def insert_profile(connection: Connection, *, profile_id: str, workspace_id: str, name: str, **branding: Any) -> None:
    """`branding` is by the names of its columns."""
    row = {"id": profile_id, "workspace_id": workspace_id, "name": name, **branding}
    connection.execute(insert(profiles).values(created_at=from_now(), **row))


def find_workspace(connection: Connection, workspace: str) -> str | None:
    """The id of the workspace with this id, or else of one with this name."""
    return next(iter(workspaces_called(connection, workspace)), None)


def workspaces_called(connection: Connection, workspace: str) -> list[str]:
    """The id of the workspace with this id; or else the ids of those with this name, two of them at most."""
    of_id = select(workspaces.c.id).where(workspaces.c.id == workspace)
    if (workspace_id := connection.execute(of_id).scalar()) is not None:
        return [workspace_id]
    of_name = select(workspaces.c.id).where(workspaces.c.name == workspace).limit(2)
    return list(connection.execute(of_name).scalars())


class NamedRow(NamedTuple):
    """A workspace, or a profile of one."""

    id: str
    name: str
    created_at: datetime


def all_workspaces(connection: Connection) -> list[NamedRow]:
    """In the order in which they were made, as ids are."""
    query = select(workspaces.c.id, workspaces.c.name, workspaces.c.created_at).order_by(workspaces.c.id)
    return [NamedRow(*row) for row in connection.execute(query)]


def profiles_of(connection: Connection, workspace_id: str) -> list[NamedRow]:
    query = (
        select(profiles.c.id, profiles.c.name, profiles.c.created_at)
        .where(profiles.c.workspace_id == workspace_id, IS_THERE)
        .order_by(profiles.c.id)
    )
    return [NamedRow(*row) for row in connection.execute(query)]


def profile_ids(connection: Connection, workspace_id: str, *, limit: int) -> list[str]:
    """None of them is deleted until the transaction ends, as with `keep_profiles`."""
    return list(connection.execute(_profile_ids(), {"workspace": workspace_id, "most": limit}).scalars())


@cache
def _profile_ids() -> Any:
    of_workspace = profiles.c.workspace_id == bindparam("workspace")
    query = select(profiles.c.id).where(of_workspace, IS_THERE).order_by(profiles.c.id).limit(bindparam("most"))
    return query.with_for_update(read=True, key_share=True)


def has_profile(connection: Connection, workspace_id: str, profile_id: str) -> bool:
    query = select(profiles.c.id).where(profiles.c.id == profile_id, profiles.c.workspace_id == workspace_id, IS_THERE)
    return connection.execute(query).first() is not None


def keep_profiles(connection: Connection, workspace_id: str, profile_ids: Collection[str]) -> set[str]:
    """Those of the ids that are profiles of the workspace. None of them is deleted until the transaction ends.

    The lock is the one that a row takes anyhow which names the profile, a little earlier: many may have it at once.
    """
    query = select(profiles.c.id).where(
        profiles.c.id.in_(profile_ids), profiles.c.workspace_id == workspace_id, IS_THERE
    )
    return set(connection.execute(query.with_for_update(read=True, key_share=True)).scalars())


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    id: str
    workspace_id: str
    name: str
    prefix: str
    secret_hash: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    is_valid: bool
    is_use_noted: bool


# A use is noted when the last one noted is so many seconds old.
_USE_NOTED_FOR_SECONDS = 60.0

_API_KEY = (
    api_keys.c.id,
    api_keys.c.workspace_id,
    api_keys.c.name,
    api_keys.c.prefix,
    api_keys.c.secret_hash,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.last_used_at,
    and_(
        api_keys.c.revoked_at.is_(None),
        api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > from_now()),
    ).label("is_valid"),
    func.coalesce(api_keys.c.last_used_at > from_now(-_USE_NOTED_FOR_SECONDS), False).label("is_use_noted"),
)


def insert_api_key(
    connection: Connection,
    *,
    key_id: str,
    workspace_id: str,
    name: str,
    prefix: str,
    secret_hash: bytes,
    expires_in: float | None,
) -> None:
    """`expires_in` is in seconds; None never expires."""
    connection.execute(
        insert(api_keys).values(
            id=key_id,
            workspace_id=workspace_id,
            name=name,
            prefix=prefix,
            secret_hash=secret_hash,
            created_at=from_now(),
            expires_at=None if expires_in is None else from_now(expires_in),
        )
    )


def api_key_by_prefix(connection: Connection, prefix: str) -> ApiKeyRow | None:
    row = connection.execute(select(*_API_KEY).where(api_keys.c.prefix == prefix)).first()
    return None if row is None else ApiKeyRow(**row._mapping)


def api_keys_of(connection: Connection, workspace_id: str) -> list[ApiKeyRow]:
    query = select(*_API_KEY).where(api_keys.c.workspace_id == workspace_id).order_by(api_keys.c.id)
    return [ApiKeyRow(**row._mapping) for row in connection.execute(query)]


def note_use(connection: Connection, key_id: str) -> None:
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=from_now()))


def revoke_api_key(connection: Connection, key: str) -> bool:
    """`key` is an id or a visible prefix. False when there is none that still works."""
    change = (
        update(api_keys)
        .where((api_keys.c.id == key) | (api_keys.c.prefix == key), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=from_now())
    )
    return connection.execute(change).rowcount == 1
