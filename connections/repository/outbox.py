"""The outbox: what webhooks are to be told, written in the transaction of the change that it tells of."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, insert, select

from connections.events import EVERY_EVENT, Event
from connections.ids import new_id
from connections.models import webhook_deliveries, webhooks
from connections.sqltime import database_time, from_now

# A receiver may be down for so long.
DELIVER_FOR_SECONDS = 86_400.0


def emit(connection: Connection, events: Sequence[Event]) -> None:
    """Leaves a delivery for each event and each webhook that wants to hear of it."""
    if not events:
        return
    of_workspace: defaultdict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
    workspace_ids = list({event.workspace_id for event in events})
    for row in connection.execute(_listening(), {"workspaces": workspace_ids}):
        of_workspace[row.workspace_id].append((row.id, frozenset(row.events)))
    deliveries = [
        {
            "id": new_id("wd"),
            "webhook_id": webhook_id,
            "workspace_id": event.workspace_id,
            "event_id": event_id,
            "event": event.type,
            "subject": event.subject,
            "data": event.data(),
        }
        for event in events
        for event_id in [new_id("evt")]
        for webhook_id, wanted in of_workspace[event.workspace_id]
        if event.type in wanted or EVERY_EVENT in wanted
    ]
    if deliveries:
        # One instant for all: the same event is the same text for every webhook.
        now = database_time(connection)
        connection.execute(_DELIVERY, [{**delivery, "created_at": now} for delivery in deliveries])


@cache
def _listening() -> Any:
    return select(webhooks.c.id, webhooks.c.workspace_id, webhooks.c.events).where(*is_listening())


def is_listening() -> tuple[ColumnElement[bool], ...]:
    """Of a webhook: whether one of the `workspaces`, a parameter, wants events to be sent there."""
    return (
        webhooks.c.workspace_id.in_(bindparam("workspaces", expanding=True)),
        webhooks.c.active,
        webhooks.c.deleted_at.is_(None),
    )


_DELIVERY = insert(webhook_deliveries).values(
    status="pending", due_at=from_now(), expires_at=from_now(DELIVER_FOR_SECONDS)
)
