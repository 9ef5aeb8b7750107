"""`connector connect`: connect one account through a running service, as any of its callers does."""

import os
import sys
from typing import Annotated

import typer


def connect(
    handle: Annotated[str, typer.Argument(metavar="HANDLE", help="Such as alice.bsky.social.")],
    *,
    api_key: Annotated[str, typer.Option(envvar="UNIPOST_API_KEY", help="Others can see options; use the variable.")],
    profile: Annotated[str | None, typer.Option(metavar="ID", help="Profile that will own the account.")] = None,
    url: Annotated[str, typer.Option(envvar="CONNECTOR_URL", help="Where the service is.")] = "http://127.0.0.1:8000",
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the app password from stdin.")] = False,
) -> None:
    """Connect a Bluesky account. The app password is CONNECTOR_APP_PASSWORD, or asked for."""
    from cli.client import connect_account
    from cli.failures import FAILED
    from cli.wording import account_lines, error_lines
    from connections.contract import Account

    app_password = sys.stdin.readline().rstrip("\n") if password_stdin else _app_password()
    result = connect_account(url, api_key, handle, app_password, profile)
    if isinstance(result, Account):
        typer.echo("\n".join(account_lines(result)))
    else:
        typer.echo("\n".join(error_lines(result.answer, result.retry_after)), err=True)
        raise typer.Exit(FAILED)


def _app_password() -> str:
    from cli.failures import CommandFailed

    given = os.environ.get("CONNECTOR_APP_PASSWORD")
    if given:
        return given
    if not sys.stdin.isatty():
        raise CommandFailed("give the app password as CONNECTOR_APP_PASSWORD, or on stdin with --password-stdin")
    return str(typer.prompt("App password", hide_input=True, err=True))
