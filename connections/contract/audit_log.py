"""The audit log."""

from connections.audit import ActorType
from connections.contract.base import PageMeta, Timestamp, WireModel


class AuditLogEntry(WireModel):
    """Who did what, to which account or what else, and how it ended. Words that a later version writes pass through."""

    id: str
    at: Timestamp
    actor: str
    actor_type: ActorType
    action: str
    account_id: str | None
    target: str | None
    outcome: str
    cause: str | None
    request_id: str | None


class AuditLogAnswer(WireModel):
    data: list[AuditLogEntry]
    meta: PageMeta
    request_id: str
