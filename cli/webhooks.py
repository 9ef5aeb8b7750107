"""`connector webhooks …`: how deliveries stand, as who runs the service sees it."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from connections.repository.webhooks import WebhookRow

webhooks = typer.Typer(help="Webhooks, and what they were told.", no_args_is_help=True)

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="Such as wh_…")]

_SHOWN = 100


@webhooks.command("list")
def list_webhooks(
    workspace: Annotated[
        str | None,
        typer.Option(metavar="NAME|ID", help="All of this workspace, in place of those that are still to be told."),
    ] = None,
) -> None:
    """List webhooks that events wait for, and how their receivers are doing."""
    from cli.tables import open_database, workspace_id_of
    from connections.repository import webhooks as queries
    from connections.settings import load_settings
    from connections.sqltime import database_time

    with open_database(load_settings()) as database, database.read() as connection:
        if workspace is None:
            rows = list(_with_pending(connection))
        else:
            rows = queries.webhooks_of(connection, workspace_id_of(connection, workspace))
        now = database_time(connection)
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        typer.echo(f"{row.id}  {row.name:{width}}  {_state(row, now)}  {row.url}  {row.workspace_id}")


@webhooks.command("deliveries")
def list_deliveries(
    webhook_id: WebhookId,
    status: Annotated[
        str | None, typer.Option(metavar="pending|delivered|dead", help="Only those with this status.")
    ] = None,
) -> None:
    """List what a webhook was told, the latest first: the last hundred."""
    from cli.tables import open_database
    from connections.contract import rfc3339
    from connections.repository import deliveries
    from connections.settings import load_settings
    from connections.webhooks.contract import DeliveryStatus

    if status not in {None, *DeliveryStatus}:
        raise typer.BadParameter(f"{status} is none of {', '.join(DeliveryStatus)}", param_hint="--status")
    wanted = None if status is None else DeliveryStatus(status)
    with open_database(load_settings()) as database, database.read() as connection:
        _find(connection, webhook_id)
        rows = deliveries.deliveries_of(connection, webhook_id, before=None, limit=_SHOWN, status=wanted)
    for row in rows:
        last = " ".join(str(part) for part in (row.last_error, row.last_status) if part is not None)
        due = f"  next {rfc3339(row.due_at)}" if row.due_at else ""
        typer.echo(
            f"{row.id}  {rfc3339(row.created_at)}  {row.event}  {row.subject}  {row.status}"
            f"  {row.attempts} attempts{f'  {last}' if last else ''}{due}"
        )


@webhooks.command("replay")
def replay(
    webhook_id: WebhookId,
    delivery: Annotated[
        str | None, typer.Option(metavar="ID", help="This one, dead or delivered, in place of all dead ones.")
    ] = None,
) -> None:
    """Send dead deliveries again, and print how many. The audit log has it as the operator's doing."""
    from cli.failures import CommandFailed
    from cli.tables import open_database
    from connections.audit import OPERATOR
    from connections.errors import NotFound
    from connections.settings import load_settings
    from connections.webhooks.replaying import replay_dead, replay_entry, replay_one

    with open_database(load_settings()) as database:
        with database.read() as connection:
            webhook = _find(connection, webhook_id)
        entry = replay_entry(webhook.workspace_id, webhook_id, actor=OPERATOR)
        if delivery is None:
            typer.echo(replay_dead(database, webhook_id, entry).replayed)
            return
        with database.write() as connection:
            try:
                replay_one(connection, webhook_id, delivery, entry)
            except NotFound as error:
                raise CommandFailed(f"{delivery}: {error.message}") from None
    typer.echo(1)


def _with_pending(connection: "Connection") -> "Iterator[WebhookRow]":
    from connections.repository.deliveries import waiting_webhooks
    from connections.repository.webhooks import find_webhook

    after: str | None = ""
    while after is not None:
        found = waiting_webhooks(connection, after=after, steps=_SHOWN)
        after = found[-1].id if len(found) == _SHOWN else None
        for waiting in found:
            if (row := find_webhook(connection, waiting.id)) is not None:
                yield row


def _find(connection: "Connection", webhook_id: str) -> "WebhookRow":
    from cli.failures import CommandFailed
    from connections.intake import is_id
    from connections.repository.webhooks import find_webhook

    row = find_webhook(connection, webhook_id) if is_id(webhook_id) else None
    if row is None:
        raise CommandFailed(f"there is no webhook {webhook_id!r}; `connector webhooks list` shows a workspace's")
    return row


def _state(row: "WebhookRow", now: "datetime") -> str:
    from connections.contract import rfc3339

    if not row.active:
        return "switched off"
    if not row.failures:
        return "ok"
    until = f", left alone until {rfc3339(row.paused_until)}" if row.paused_until and row.paused_until > now else ""
    return f"failing ({row.failures} in a row{until})"
