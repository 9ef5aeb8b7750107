"""`connector workspace …` and `connector profile …`: who owns accounts.

What was made is the only thing on stdout, so that scripts can take it: `id=$(connector workspace create Acme)`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

workspace = typer.Typer(help="Workspaces: what an API key belongs to.", no_args_is_help=True)
profile = typer.Typer(help="Profiles: what accounts are grouped by.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Workspace = Annotated[str, typer.Option(metavar="NAME|ID", help="The workspace it belongs to.")]


@workspace.command("create")
def create_workspace(name: Name) -> None:
    """Create a workspace and print its id."""
    from cli.failures import CommandFailed
    from cli.tables import open_database
    from connections.ids import new_id
    from connections.repository import workspaces
    from connections.settings import load_settings

    workspace_id = new_id("ws")
    with open_database(load_settings()) as database, database.write() as connection:
        if workspaces.find_workspace(connection, name) is not None:
            raise CommandFailed(f"there is a workspace {name!r} already")
        workspaces.insert_workspace(connection, workspace_id=workspace_id, name=name)
    typer.echo(workspace_id)


@workspace.command("list")
def list_workspaces() -> None:
    """List all workspaces."""
    from cli.tables import open_database
    from connections.repository import workspaces
    from connections.settings import load_settings

    with open_database(load_settings()) as database, database.read() as connection:
        rows = workspaces.all_workspaces(connection)
    _show(rows)


@profile.command("create")
def create_profile(name: Name, workspace: Workspace) -> None:
    """Create a profile in a workspace and print its id."""
    from cli.failures import CommandFailed
    from cli.tables import open_database, workspace_id_of
    from connections.audit import OPERATOR
    from connections.errors import ProfileNameTaken
    from connections.owners import profiles
    from connections.settings import load_settings

    with open_database(load_settings()) as database, database.write() as connection:
        workspace_id = workspace_id_of(connection, workspace)
        try:
            profile_id = profiles.create_profile(connection, workspace_id, {"name": name}, actor=OPERATOR)
        except ProfileNameTaken:
            raise CommandFailed(f"the workspace has a profile {name!r} already") from None
    typer.echo(profile_id)


@profile.command("list")
def list_profiles(workspace: Workspace) -> None:
    """List a workspace's profiles."""
    from cli.tables import open_database, workspace_id_of
    from connections.repository import workspaces
    from connections.settings import load_settings

    with open_database(load_settings()) as database, database.read() as connection:
        rows = workspaces.profiles_of(connection, workspace_id_of(connection, workspace))
    _show(rows)


def _show(rows: Sequence[tuple[str, str, datetime]]) -> None:
    """Id, name and date of birth, a line each."""
    from connections.contract import rfc3339

    width = max((len(name) for _, name, _ in rows), default=0)
    for id_, name, created_at in rows:
        typer.echo(f"{id_}  {name:{width}}  created {rfc3339(created_at)}")
