"""The workspace, as the holder of one of its keys sees and changes it. Blocking; call it from a thread."""

from connections.audit import Action, AuditEntry
from connections.contract import Workspace
from connections.db import Database
from connections.owners.bodies import WorkspaceFields
from connections.repository import audit, profiles
from connections.service import Caller


class Workspaces:
    """One per API process, used by its threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, caller: Caller) -> Workspace:
        with self._database.read() as connection:
            return profiles.workspace_of(connection, caller.workspace_id)

    def change(self, caller: Caller, fields: WorkspaceFields, *, request_id: str) -> Workspace:
        """The workspace as it is afterwards."""
        with self._database.write() as connection:
            profiles.lock_workspace(connection, caller.workspace_id)
            workspace = profiles.workspace_of(connection, caller.workspace_id)
            changes = {name: value for name, value in fields.items() if getattr(workspace, name) != value}
            if not changes:
                return workspace
            profiles.change_workspace(connection, caller.workspace_id, changes)
            entry = AuditEntry(caller.workspace_id, caller.key_id, Action.WORKSPACE_UPDATE, request_id=request_id)
            audit.record(connection, [entry])
            return profiles.workspace_of(connection, caller.workspace_id)
