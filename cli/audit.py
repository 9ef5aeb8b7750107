"""`connector audit`: who did what."""

from typing import Annotated

import typer

from cli.api_keys import duration
from connections.audit import Action

_SHOWN = 50


def audit(
    *,
    workspace: Annotated[str | None, typer.Option(metavar="NAME|ID", help="All, if left out.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="What was done to it: sa_…")] = None,
    actor: Annotated[
        str | None, typer.Option(metavar="ID", help="What it did: key_…, cs_…, worker, operator or unknown.")
    ] = None,
    action: Annotated[Action | None, typer.Option(metavar="ACTION", help="Such as account.disconnect.")] = None,
    since: Annotated[
        float | None, typer.Option(parser=duration, metavar="7d", help="Not what is older. Number and m, h or d.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"So many. As a table {_SHOWN}, as JSON or CSV all, if left out."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
) -> None:
    """Show who did what, the latest first. Times are UTC."""
    import sys
    from datetime import UTC, datetime, timedelta
    from itertools import islice

    from cli.audit_lines import csv_lines, json_lines
    from cli.audit_table import print_table
    from cli.tables import open_database, workspace_id_of
    from connections.auditing import read_all
    from connections.repository import workspaces
    from connections.repository.audit import AuditFilter
    from connections.settings import load_settings

    if json and csv:
        raise typer.BadParameter("--json or --csv, not both")
    with open_database(load_settings()) as database:
        with database.read() as connection:
            if workspace is None:
                workspace_ids = [one.id for one in workspaces.all_workspaces(connection)]
            else:
                workspace_ids = [workspace_id_of(connection, workspace)]
        first = None if since is None else datetime.now(UTC) - timedelta(seconds=since)
        rows = read_all(
            database,
            [
                AuditFilter(workspace_id, account_id=account, actor=actor, action=action, since=first)
                for workspace_id in workspace_ids
            ],
        )
        if json or csv:
            sys.stdout.writelines((json_lines if json else csv_lines)(islice(rows, limit)))
            return
        shown = list(islice(rows, limit or _SHOWN))
        print_table(database, shown, is_all=next(rows, None) is None)
