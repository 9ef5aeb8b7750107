"""`connector import`: connect the accounts of a file through a running service, as any of its callers does."""

from pathlib import Path
from typing import Annotated

import typer

from cli.importing.options import ApiKey, Url


def import_accounts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with handle, app_password, and if wanted more.")],
    *,
    api_key: ApiKey = None,
    url: Url = None,
    profile: Annotated[str | None, typer.Option(metavar="ID", help="Profile that will own the accounts.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Results; else beside the file, as NAME.results.csv.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome, or only begin.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an import that was cut off.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The outcome as one JSON object.")] = False,
) -> None:
    """Connect many Bluesky accounts at once, and write what became of each.

    Columns: handle (or identifier), app_password (or password), and if wanted profile_id and external_ref.

    Exit status 0: every row is connected. 2: some are. 1: none is, or it could not be done. 130: stopped; goes on
    with --resume.
    """
    from cli.importing.access import find_access
    from cli.importing.running import ImportOrder, default_results, run_import

    order = ImportOrder(file, out or default_results(file), profile, resume=resume, wait=wait, json=json)
    status = run_import(find_access(url, api_key), order)
    if status:
        raise typer.Exit(status)
