"""Entry point of `connector`."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli import api_keys, audit, batch, connect, key_ring, services, task, webhooks, workspaces
from cli.doctor import command as doctor
from cli.importing import command as importing
from cli.status import command as status


class ConnectorGroup(TyperGroup):
    """Turns the failures of every command into one line and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        from cli.failures import reported

        with reported():
            return super().invoke(ctx)


app = typer.Typer(
    cls=ConnectorGroup,
    help="Connects Bluesky accounts from credentials. Self-hosted.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,  # they print local variables, and a local may be a secret
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"connector {version('connector')}")
        raise typer.Exit


@app.callback()
def connector(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (services.up, services.demo, services.api, services.worker, services.beat, services.migrate):
    app.command()(command)
app.command()(doctor.doctor)
app.command()(status.status)
app.command()(audit.audit)
app.command()(connect.connect)
app.command("import")(importing.import_accounts)
app.add_typer(batch.batch, name="batch")
app.add_typer(task.task, name="task")
app.add_typer(workspaces.workspace, name="workspace")
app.add_typer(workspaces.profile, name="profile")
app.add_typer(api_keys.key, name="key")
app.add_typer(key_ring.keys, name="keys")
app.add_typer(webhooks.webhooks, name="webhooks")
