"""`connector workspace …` and `connector profile …`: who owns accounts.

What was made is the only thing on stdout, so that scripts can take it: `id=$(connector workspace create Acme)`.
"""

from typing import Annotated

import typer

workspace = typer.Typer(help="Workspaces: what an API key belongs to.", no_args_is_help=True)
profile = typer.Typer(help="Profiles: what accounts are grouped by.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]


# Without a callback, typer would drop the name of a group's only command.
@workspace.callback()
@profile.callback()
def _group() -> None:
    pass


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


@profile.command("create")
def create_profile(
    name: Name,
    workspace: Annotated[str, typer.Option(metavar="NAME|ID", help="The workspace it belongs to.")],
) -> None:
    """Create a profile in a workspace and print its id."""
    from cli.tables import open_database, workspace_id_of
    from connections.ids import new_id
    from connections.repository import workspaces
    from connections.settings import load_settings

    profile_id = new_id("pr")
    with open_database(load_settings()) as database, database.write() as connection:
        workspace_id = workspace_id_of(connection, workspace)
        workspaces.insert_profile(connection, profile_id=profile_id, workspace_id=workspace_id, name=name)
    typer.echo(profile_id)
