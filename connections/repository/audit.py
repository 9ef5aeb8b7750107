"""The audit log: entries are added and read, never changed."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from connections.audit import AuditEntry
from connections.ids import new_id
from connections.models import audit_log
from connections.sqltime import from_now


def record(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """In the transaction of what they tell of."""
    if entries:
        connection.execute(
            _RECORD,
            [
                {
                    "id": new_id("al"),
                    "workspace_id": entry.workspace_id,
                    "actor": entry.actor,
                    "action": entry.action,
                    "outcome": entry.outcome,
                    "account_id": entry.account_id,
                    "target": entry.target,
                    "cause": entry.cause,
                    "request_id": entry.request_id,
                }
                for entry in entries
            ],
        )


_RECORD = insert(audit_log).values(at=from_now())
