"""What other systems are told of by webhooks."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connections.contract import WireModel


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
    """`subject` is the id of the account or batch that it is about: what is about one is told in order. `shown` is the
    account or batch as the API shows it, which holds no secret, and `cause` in one word why."""

    workspace_id: str
    type: EventType
    subject: str
    shown: WireModel = field(repr=False)
    cause: str | None = None

    def data(self) -> dict[str, Any]:
        """JSON. Written down only when somebody wants to hear of it: most accounts are connected where nobody does."""
        told = self.shown.model_dump(mode="json")
        return told if self.cause is None else {**told, "cause": self.cause}
