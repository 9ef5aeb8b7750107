"""Profiles, as the holder of a workspace makes, changes and deletes them. Blocking; call it from a thread.

Whether a profile is deleted or takes an account is decided by the lock on its row. What names a profile in a new row
(`resolve_profile`, a batch that arrives) keeps it for its transaction; who deletes it waits for those, sees what they
have stored, and makes the next ones wait, who then find that there is no such profile. SQLite has one writer at a time.
"""

from dataclasses import asdict

from sqlalchemy import Connection

from connections.audit import Action, AuditEntry
from connections.contract import Profile
from connections.db import Database
from connections.errors import NotFound, ProfileInUse, ProfileNameTaken
from connections.ids import new_id
from connections.intake import is_id
from connections.owners.bodies import ProfileFields
from connections.paging import Page, read_page
from connections.repository import audit, profiles, workspaces
from connections.service import Caller


class Profiles:
    """One per API process, used by its threads.

    Each method that is given a profile's id raises `NotFound` for one that is not the caller's, or was deleted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, caller: Caller, *, before: str | None = None, limit: int) -> Page[Profile]:
        """The latest first, `limit` of them at most; after the profile with the id `before`, if there is one given."""
        with self._database.read() as connection:
            return read_page(
                lambda most: profiles.profile_page(connection, caller.workspace_id, before=before, limit=most), limit
            )

    def get(self, caller: Caller, profile_id: str) -> Profile:
        with self._database.read() as connection:
            return _profile_of(connection, caller, profile_id)

    def create(self, caller: Caller, fields: ProfileFields, *, request_id: str) -> Profile:
        """Raises `ProfileNameTaken`."""
        with self._database.write() as connection:
            profile_id = create_profile(
                connection, caller.workspace_id, fields, actor=caller.key_id, request_id=request_id
            )
            return _profile_of(connection, caller, profile_id)

    def change(self, caller: Caller, profile_id: str, fields: ProfileFields, *, request_id: str) -> Profile:
        """The profile as it is afterwards. Raises `ProfileNameTaken`."""
        with self._database.write() as connection:
            profiles.lock_workspace(connection, caller.workspace_id)
            profile = _profile_of(connection, caller, profile_id)
            changes = {name: value for name, value in fields.items() if getattr(profile, name) != value}
            if not changes:
                return profile
            if "name" in changes:
                _refuse_taken(connection, caller.workspace_id, fields["name"])
            profiles.change_profile(connection, profile_id, changes)
            audit.record(connection, [_entry(caller, Action.PROFILE_UPDATE, profile_id, request_id)])
            return _profile_of(connection, caller, profile_id)

    def delete(self, caller: Caller, profile_id: str, *, request_id: str) -> None:
        """Raises `ProfileInUse` while accounts are connected, or being connected, for it."""
        with self._database.write() as connection:
            if not is_id(profile_id) or not profiles.lock_profile(connection, caller.workspace_id, profile_id):
                raise _no_such_profile()
            use = profiles.use_of_profile(connection, caller.workspace_id, profile_id)
            if use.accounts or use.unfinished_tasks:
                raise ProfileInUse(details=asdict(use))
            profiles.mark_profile_deleted(connection, profile_id)
            audit.record(connection, [_entry(caller, Action.PROFILE_DELETE, profile_id, request_id)])


def create_profile(
    connection: Connection, workspace_id: str, fields: ProfileFields, *, actor: str, request_id: str | None = None
) -> str:
    """The id of the new profile; `fields` have its name. `actor` is as in the audit log. Raises `ProfileNameTaken`."""
    profiles.lock_workspace(connection, workspace_id)
    _refuse_taken(connection, workspace_id, fields["name"])
    profile_id = new_id("pr")
    workspaces.insert_profile(connection, profile_id=profile_id, workspace_id=workspace_id, **fields)
    entry = AuditEntry(workspace_id, actor, Action.PROFILE_CREATE, target=profile_id, request_id=request_id)
    audit.record(connection, [entry])
    return profile_id


def _refuse_taken(connection: Connection, workspace_id: str, name: str) -> None:
    if (profile_id := profiles.profile_named(connection, workspace_id, name)) is not None:
        raise ProfileNameTaken(details={"profile_id": profile_id})


def _profile_of(connection: Connection, caller: Caller, profile_id: str) -> Profile:
    profile = profiles.profile_of(connection, caller.workspace_id, profile_id) if is_id(profile_id) else None
    if profile is None:
        raise _no_such_profile()
    return profile


def _entry(caller: Caller, action: Action, profile_id: str, request_id: str) -> AuditEntry:
    return AuditEntry(caller.workspace_id, caller.key_id, action, target=profile_id, request_id=request_id)


def _no_such_profile() -> NotFound:
    return NotFound("There is no such profile.")
