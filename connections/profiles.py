"""Which profile of a workspace an account will belong to."""

from sqlalchemy import Connection

from connections.contract import Issue
from connections.intake import refused, unknown_profile
from connections.repository import workspaces


def resolve_profile(connection: Connection, workspace_id: str, profile_id: str | None) -> str:
    """The one that was named, or the only one there is; it is not deleted until the transaction ends.

    Raises `ValidationFailed` with one issue.
    """
    if profile_id is not None:
        if workspaces.keep_profiles(connection, workspace_id, [profile_id]):
            return profile_id
        issue = unknown_profile()
    else:
        match workspaces.profile_ids(connection, workspace_id, limit=2):
            case [only]:
                return only
            case []:
                issue = Issue(field="profile_id", code="no_profile", message="This workspace has no profile yet.")
            case _:
                issue = Issue(
                    field="profile_id",
                    code="required",
                    message="profile_id is required: this workspace has more than one profile.",
                )
    raise refused([issue])
