"""How a command fails: one line on stderr and an exit status, never a traceback for what a person can put right."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from connections.errors import ServiceUnavailable
from connections.settings import SettingsError

FAILED = 1
MISUSED = 2


class CommandFailed(Exception):
    """A command cannot do its work. The message is for people: what is wrong and what to do."""


@contextmanager
def reported() -> Iterator[None]:
    """Ends the command with status 1 when it failed, with 2 when a setting is wrong."""
    try:
        yield
    except SettingsError as error:
        _say(str(error))
        raise typer.Exit(MISUSED) from None
    except CommandFailed as error:
        _say(str(error))
        raise typer.Exit(FAILED) from None
    except ServiceUnavailable:
        _say("the database does not answer; check CONNECTOR_DATABASE_URL")
        raise typer.Exit(FAILED) from None


def _say(message: str) -> None:
    typer.echo(f"connector: {message}", err=True)
