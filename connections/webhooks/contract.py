"""The wire of webhooks. Names and shapes follow the official SDKs; deliveries and replays are ours."""

from enum import StrEnum

from pydantic import Field

from connections.contract import PageMeta, Timestamp, WireModel


class Webhook(WireModel):
    """A webhook. Its secret is told when it is made, and when it is exchanged."""

    id: str
    name: str
    url: str
    events: list[str]
    active: bool
    secret: str | None = Field(default=None, repr=False)
    secret_preview: str
    created_at: Timestamp
    updated_at: Timestamp


class WebhookAnswer(WireModel):
    data: Webhook
    request_id: str


class WebhooksAnswer(WireModel):
    data: list[Webhook]
    meta: PageMeta
    request_id: str


class DeliveryStatus(StrEnum):
    """Where a delivery stands. A `dead` one was given up, and can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class WebhookDelivery(WireModel):
    """One event on its way to one webhook."""

    id: str
    event: str
    event_id: str
    subject: str
    status: DeliveryStatus
    attempts: int
    created_at: Timestamp
    next_attempt_at: Timestamp | None
    finished_at: Timestamp | None
    last_status: int | None
    last_error: str | None


class WebhookDeliveryAnswer(WireModel):
    data: WebhookDelivery
    request_id: str


class WebhookDeliveriesAnswer(WireModel):
    data: list[WebhookDelivery]
    meta: PageMeta
    request_id: str


class Replay(WireModel):
    """How many dead deliveries wait again, and whether there are more that do not yet."""

    replayed: int
    has_more: bool


class ReplayAnswer(WireModel):
    data: Replay
    request_id: str
