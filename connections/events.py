"""What other systems are told of by webhooks."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    ACCOUNT_CONNECTED = "account.connected"
    """Also when it was reconnected."""
    ACCOUNT_DISCONNECTED = "account.disconnected"
    ACCOUNT_RECONNECT_REQUIRED = "account.reconnect_required"
    BATCH_FINISHED = "batch.finished"


EVERY_EVENT = "*"
"""In place of their names: also those that a later version knows."""


@dataclass(frozen=True, slots=True)
class Event:
    """`subject` is the id of the account or batch that it is about: what is about one is told in order. `data` is JSON
    that holds no secret: the account or batch as the API shows it."""

    workspace_id: str
    type: EventType
    subject: str
    data: dict[str, Any] = field(repr=False)
