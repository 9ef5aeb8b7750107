"""`connector status`: how the service stands, on one screen."""

from typing import Annotated

import typer

_BATCHES_AS_JSON = 20


def status(
    *,
    once: Annotated[bool, typer.Option("--once", help="One picture, as where stdout is no terminal.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Watch queues, workers, hosts and batches.

    Looks every second until Ctrl-C, and changes nothing.
    """
    from contextlib import closing
    from datetime import datetime

    from rich.console import Console, RenderableType

    from cli.places import database_place
    from cli.status.facts import as_json
    from cli.status.picture import BATCHES, batches_for, picture
    from cli.status.snapshot import Observer
    from cli.status.watching import watch
    from cli.tables import open_database
    from connections.settings import load_settings

    settings = load_settings()
    with open_database(settings) as database, closing(Observer(settings, database)) as observer:
        if json:
            typer.echo(as_json(observer.look(batches=_BATCHES_AS_JSON)))
            return

        console = Console(highlight=False, markup=False)
        once = once or not console.is_terminal

        def draw() -> RenderableType:
            snapshot = observer.look(batches=BATCHES if once else batches_for(console.height))
            return picture(snapshot, database_place(settings.database), datetime.now().astimezone())

        if once:
            console.print(draw())
        else:
            watch(draw, console)
