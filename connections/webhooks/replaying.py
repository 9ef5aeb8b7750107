"""Sends again what has ended: by the API for a workspace, by the command line for an operator."""

from sqlalchemy import Connection

from connections.audit import Action, AuditEntry
from connections.db import Database
from connections.errors import NotFound
from connections.intake import is_id
from connections.repository import audit, deliveries, webhooks
from connections.repository.deliveries import DeliveryRow
from connections.webhooks.contract import DeliveryStatus, Replay

# In one transaction, a few milliseconds in which nobody else writes; and in one request.
_AT_ONCE = 100
_AT_MOST = 5_000


def replay_entry(workspace_id: str, webhook_id: str, *, actor: str, request_id: str | None = None) -> AuditEntry:
    return AuditEntry(workspace_id, actor, Action.WEBHOOK_REPLAY, target=webhook_id, request_id=request_id)


def replay_one(connection: Connection, webhook_id: str, delivery_id: str, entry: AuditEntry) -> DeliveryRow:
    """The delivery as it is then, due again as the same event; one that is pending stays as it is.

    Raises `NotFound` for one that is not this webhook's.
    """
    row = _delivery(connection, webhook_id, delivery_id)
    if row.status is DeliveryStatus.PENDING:
        return row
    _replay(connection, webhook_id, [row.number])
    audit.record(connection, [entry])
    return _delivery(connection, webhook_id, delivery_id)


def replay_dead(database: Database, webhook_id: str, entry: AuditEntry) -> Replay:
    """The dead ones, the oldest first: all, or as many as one request may. Some in each transaction, so that nobody
    waits for all of them."""
    replayed, found = 0, _AT_ONCE
    while found == _AT_ONCE and replayed < _AT_MOST:
        with database.write() as connection:
            numbers = deliveries.dead_deliveries(connection, webhook_id, limit=_AT_ONCE)
            found = len(numbers)
            if found:
                _replay(connection, webhook_id, numbers)
                audit.record(connection, [] if replayed else [entry])
        replayed += found
    return Replay(replayed=replayed, has_more=found == _AT_ONCE)


def _replay(connection: Connection, webhook_id: str, numbers: list[int]) -> None:
    deliveries.replay_deliveries(connection, numbers)
    webhooks.end_pause(connection, webhook_id)


def _delivery(connection: Connection, webhook_id: str, delivery_id: str) -> DeliveryRow:
    row = deliveries.delivery_of(connection, webhook_id, delivery_id) if is_id(delivery_id) else None
    if row is None:
        raise NotFound("There is no such delivery.")
    return row
