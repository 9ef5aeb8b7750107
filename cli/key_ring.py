"""`connector keys …`: the key ring that seals credentials and encrypts tokens."""

from typing import Annotated

import typer

keys = typer.Typer(help="The key ring that protects stored secrets.", no_args_is_help=True)

UNFINISHED = 3
LOST = 4


@keys.command("generate")
def generate() -> None:
    """Write a new key ring for the workers and the API's excerpt of it.

    Never replaces either: run again, it writes what is missing.
    """
    from cli.failures import CommandFailed
    from connections.settings import load_settings
    from connections.vault import RingLost, generate_keys, open_key_store

    settings = load_settings()
    store = open_key_store(settings)
    try:
        made = generate_keys(store, settings.env)
    except RingLost as error:
        raise CommandFailed(
            f"{error} exists, but not its ring {store.ring_name}: put that back, a new one does not open what it sealed"
        ) from None
    for name, use in (
        (store.ring_name, "for workers: opens everything"),
        (store.excerpt_name, "for the API: seals, opens nothing"),
    ):
        typer.echo(f"{name}  {use}" + ("" if name in made else "; was there and is not replaced"))


@keys.command("rotate")
def rotate(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the old keys are gone.")] = False,
    grace: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long every process has to take up new keys."),
    ] = 60,
) -> None:
    """Exchange the keys while the service runs, or go on with an exchange that is not finished.

    Makes new keys, re-encrypts the stored tokens, and removes the old keys once nothing needs them. Can be stopped at
    any time and run again.
    """
    from datetime import timedelta

    from cli.rotating import rotate_keys
    from cli.tables import open_database
    from connections.settings import load_settings
    from connections.vault import open_key_store

    settings = load_settings()
    store = open_key_store(settings)
    with open_database(settings) as database:
        rotate_keys(store, database, grace=timedelta(seconds=grace), wait=wait)


@keys.command("status")
def status(
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON array, for monitors.")] = False,
) -> None:
    """List the keys and how many rows need each.

    Exit status 0: nothing to do. 3: a rotation is not finished. 4: rows need a key that the ring does not have.
    """
    from datetime import UTC, datetime

    from cli.key_table import as_json, as_table, verdict
    from cli.tables import open_database
    from connections.rotation import KeyState, report
    from connections.settings import load_settings
    from connections.vault import open_key_store

    settings = load_settings()
    now = datetime.now(UTC)
    with open_database(settings) as database:
        reports = report(open_key_store(settings), database, now=now)
    typer.echo(as_json(reports) if json else as_table(reports, now))
    states = {each.state for each in reports}
    if states != {KeyState.CURRENT}:
        typer.echo(verdict(reports), err=True)
        raise typer.Exit(LOST if KeyState.LOST in states else UNFINISHED)
