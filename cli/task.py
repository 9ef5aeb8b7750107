"""`connector task …`: one connect task, as who runs the service sees it."""

from typing import Annotated

import typer

task = typer.Typer(help="Connect tasks: one account each.", no_args_is_help=True)


@task.command("show")
def show(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Such as ct_…")],
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell a task's whole story, and what happens next.

    Reads the database, whosever task it is, and changes nothing.
    """
    from datetime import datetime

    from cli.failures import CommandFailed
    from cli.tables import open_database
    from cli.task_story import as_json, story_lines
    from connections.intake import is_id
    from connections.repository.observing import task_story
    from connections.settings import load_settings

    if task_id.startswith("cb_"):
        raise CommandFailed(f"{task_id} is a batch; `connector batch show {task_id}` shows it")
    with open_database(load_settings()) as database, database.read() as connection:
        story = task_story(connection, task_id) if is_id(task_id) else None
    if story is None:
        raise CommandFailed(f"there is no task {task_id!r}; ended ones go after CONNECTOR_TASK_RETENTION_DAYS")
    typer.echo(as_json(story) if json else "\n".join(story_lines(story, datetime.now().astimezone().tzinfo)))
