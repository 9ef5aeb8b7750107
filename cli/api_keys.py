"""`connector key …`: the API keys of a workspace."""

import re
from typing import Annotated

import typer

key = typer.Typer(help="API keys of a workspace.", no_args_is_help=True)

Workspace = Annotated[str, typer.Option(metavar="NAME|ID", help="The workspace the key belongs to.")]

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """`90d`, `12h` or `30m` in seconds. Raises `typer.BadParameter` for anything else."""
    match = re.fullmatch(r"([1-9]\d{0,4})([mhd])", text)
    if match is None:
        raise typer.BadParameter("write a number and m, h or d, such as 90d")
    return int(match[1]) * _UNITS[match[2]]


@key.command("create")
def create(
    workspace: Workspace,
    name: Annotated[str, typer.Option(help="What the key is for, as `key list` shows it.")] = "default",
    *,
    test: Annotated[bool, typer.Option("--test", help="Make an up_test_… key instead of an up_live_… one.")] = False,
    expires_in: Annotated[
        float | None, typer.Option(parser=duration, metavar="90d", help="Number and m, h or d. Never, if left out.")
    ] = None,
) -> None:
    """Create an API key and print it, this once: only its hash is kept."""
    from cli.tables import open_database, workspace_id_of
    from connections.api_keys import new_api_key
    from connections.audit import OPERATOR, Action, AuditEntry
    from connections.ids import new_id
    from connections.repository import audit, workspaces
    from connections.settings import load_settings

    made, key_id = new_api_key(live=not test), new_id("key")
    with open_database(load_settings()) as database, database.write() as connection:
        workspace_id = workspace_id_of(connection, workspace)
        workspaces.insert_api_key(
            connection,
            key_id=key_id,
            workspace_id=workspace_id,
            name=name,
            prefix=made.prefix,
            secret_hash=made.secret_hash,
            expires_in=expires_in,
        )
        audit.record(connection, [AuditEntry(workspace_id, OPERATOR, Action.KEY_CREATE, target=key_id)])
    typer.echo(made.key)
    typer.echo("Keep it now: it is not shown again.", err=True)


@key.command("list")
def list_keys(workspace: Workspace) -> None:
    """List a workspace's API keys by their visible beginning. Last uses are known to the minute."""
    from cli.tables import open_database, workspace_id_of
    from connections.contract import rfc3339
    from connections.repository import workspaces
    from connections.repository.workspaces import ApiKeyRow
    from connections.settings import load_settings

    def state(row: ApiKeyRow) -> str:
        if row.revoked_at is not None:
            return f"revoked {rfc3339(row.revoked_at)}"
        if row.expires_at is not None:
            return f"{'expires' if row.is_valid else 'expired'} {rfc3339(row.expires_at)}"
        return "valid"

    with open_database(load_settings()) as database, database.read() as connection:
        rows = workspaces.api_keys_of(connection, workspace_id_of(connection, workspace))
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        used = f"used {rfc3339(row.last_used_at)}" if row.last_used_at else "never used"
        typer.echo(f"{row.prefix}…  {row.name:{width}}  created {rfc3339(row.created_at)}  {used}  {state(row)}")


@key.command("revoke")
def revoke(key: Annotated[str, typer.Argument(metavar="KEY", help="Its visible beginning, or its id.")]) -> None:
    """Revoke an API key. Running API processes notice within ten seconds."""
    from cli.failures import CommandFailed
    from cli.tables import open_database
    from connections.audit import OPERATOR, Action, AuditEntry
    from connections.repository import audit, workspaces
    from connections.settings import load_settings

    with open_database(load_settings()) as database, database.write() as connection:
        revoked = workspaces.revoke_api_key(connection, key.removesuffix("…"))
        if revoked is None:
            raise CommandFailed("there is no such key that still works")
        entry = AuditEntry(revoked.workspace_id, OPERATOR, Action.KEY_REVOKE, target=revoked.id)
        audit.record(connection, [entry])
    typer.echo(f"{key} is revoked.")
