"""Leaves word of a batch that has finished, for those who want to hear of it."""

from sqlalchemy import Connection

from connections.bulk.reading import batch_now
from connections.events import Event, EventType
from connections.repository import outbox


def tell_finished(connection: Connection, workspace_id: str, batch_id: str) -> None:
    """In the transaction that notes the end. Of a batch that never became whole there is nothing to tell."""
    batch = batch_now(connection, workspace_id, batch_id)
    if batch is not None:
        event = Event(workspace_id, EventType.BATCH_FINISHED, batch_id, batch)
        outbox.emit(connection, [event])
