"""What the documentation says of webhooks."""

from typing import Any

from api_shim.documented import EXAMPLE_REQUEST_ID, WITH_A_KEY, answers, failures, location
from connections.contract import Issue
from connections.errors import NotFound, PayloadTooLarge, UnsupportedMediaType, ValidationFailed
from connections.webhooks.contract import (
    ReplayAnswer,
    WebhookAnswer,
    WebhookDeliveriesAnswer,
    WebhookDeliveryAnswer,
    WebhooksAnswer,
)
from connections.webhooks.intake import KNOWN_EVENTS, MAX_NAME, NAME_PATTERN
from connections.webhooks.secrets import SECRET_PATTERN
from connections.webhooks.service import MAX_WEBHOOKS
from connections.webhooks.urls import MAX_URL, URL_PATTERN

EXAMPLE_WEBHOOK_ID = "wh_01jd2w8v8c9e1g3j5m7p9r1t3v"
EXAMPLE_DELIVERY_ID = "wd_01jd2w8v9e1g3j5m7p9r1t3v5x"

_NAME = {
    "type": "string",
    "maxLength": MAX_NAME,
    "pattern": NAME_PATTERN,
    "description": "What it is for, for people.",
    "examples": ["Billing"],
}
_URL = {
    "type": "string",
    "maxLength": MAX_URL,
    "pattern": URL_PATTERN,
    "description": "Where events are sent, by POST. In development also http to this machine.",
    "examples": ["https://example.com/hooks/accounts"],
}
_EVENTS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "enum": [*KNOWN_EVENTS]},
    "description": "What it is told of; `*` stands for all there are and will be.",
}
_ACTIVE = {"type": "boolean", "description": "While it is not, nothing is noted down for it, and nothing is sent."}
_SECRET = {
    "type": ["string", "null"],
    "pattern": SECRET_PATTERN,
    "description": "What signs the events. Without one the service makes it, which is better.",
}

_NEW = {
    "type": "object",
    "required": ["name", "url", "events"],
    "properties": {
        "name": _NAME,
        "url": _URL,
        "events": _EVENTS,
        "active": {**_ACTIVE, "type": ["boolean", "null"], "default": True},
        "secret": _SECRET,
    },
}
_CHANGE = {"type": "object", "properties": {"name": _NAME, "url": _URL, "events": _EVENTS, "active": _ACTIVE}}

_WEBHOOK = {
    "id": EXAMPLE_WEBHOOK_ID,
    "name": "Billing",
    "url": "https://example.com/hooks/accounts",
    "events": ["account.connected", "account.reconnect_required"],
    "active": True,
    "secret": None,
    "secret_preview": "whsec_…kH2w",
    "created_at": "2026-11-23T10:00:00.123Z",
    "updated_at": "2026-11-23T10:00:00.123Z",
}
_WITH_SECRET = _WEBHOOK | {"secret": "whsec_(told once)"}
_DEAD = {
    "id": EXAMPLE_DELIVERY_ID,
    "event": "account.reconnect_required",
    "event_id": "evt_01jd2w8v9d0f2h4k6n8q0s2v4x",
    "subject": "sa_01jd2w8v70e3g5j7m9q1s3v5x7",
    "status": "dead",
    "attempts": 27,
    "created_at": "2026-11-23T10:00:00.123Z",
    "next_attempt_at": None,
    "finished_at": "2026-11-24T09:41:07.500Z",
    "last_status": 503,
    "last_error": "server_error",
}
_AGAIN = _DEAD | {
    "status": "pending",
    "attempts": 0,
    "next_attempt_at": "2026-11-24T11:00:00.000Z",
    "finished_at": None,
}

_NO_WEBHOOK = NotFound("There is no such webhook.")
_NOT_A_URL = "url must be an https address."
_NO_EVENT = f"There is no event post.published. Supported: {', '.join(KNOWN_EVENTS)}."
_OF_A_BODY = (
    PayloadTooLarge(),
    UnsupportedMediaType(),
    ValidationFailed(_NOT_A_URL, issues=[Issue(field="url", code="invalid_url", message=_NOT_A_URL)]),
    ValidationFailed(_NO_EVENT, issues=[Issue(field="events", code="unknown_event", message=_NO_EVENT)]),
)


def _webhook(description: str, example: dict[str, Any], **more: Any) -> dict[str, Any]:
    return answers(
        WebhookAnswer, description=description, example={"data": example, "request_id": EXAMPLE_REQUEST_ID}, **more
    )


def _body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "example": example}}
    text = "JSON of at most 64 KiB; what is not known is ignored."
    return {"requestBody": {"required": True, "description": text, "content": content}}


CREATE: dict[str, Any] = {
    "summary": "Make a webhook",
    "responses": {
        201: _webhook("The webhook, with its secret.", _WITH_SECRET, headers=location("The webhook.")),
        **failures(
            *WITH_A_KEY,
            *_OF_A_BODY,
            ValidationFailed(f"A workspace has at most {MAX_WEBHOOKS} webhooks. Delete one that is not needed."),
        ),
    },
    "openapi_extra": _body(_NEW, {name: _WEBHOOK[name] for name in ("name", "url", "events")}),
}

LIST: dict[str, Any] = {
    "summary": "List webhooks",
    "responses": {
        200: answers(
            WebhooksAnswer,
            description="All of them.",
            example={
                "data": [_WEBHOOK],
                "meta": {"limit": MAX_WEBHOOKS, "next_cursor": None, "has_more": False},
                "request_id": EXAMPLE_REQUEST_ID,
            },
        ),
        **failures(*WITH_A_KEY),
    },
}

GET: dict[str, Any] = {
    "summary": "Look at a webhook",
    "responses": {200: _webhook("The webhook.", _WEBHOOK), **failures(*WITH_A_KEY, _NO_WEBHOOK)},
}

UPDATE: dict[str, Any] = {
    "summary": "Change a webhook",
    "responses": {
        200: _webhook("The webhook as it is now.", _WEBHOOK | {"active": False}),
        **failures(*WITH_A_KEY, _NO_WEBHOOK, *_OF_A_BODY),
    },
    "openapi_extra": _body(_CHANGE, {"active": False}),
}

DELETE: dict[str, Any] = {
    "summary": "Delete a webhook",
    "responses": {204: {"description": "It is deleted."}, **failures(*WITH_A_KEY, _NO_WEBHOOK)},
}

ROTATE: dict[str, Any] = {
    "summary": "Exchange a webhook's secret",
    "responses": {
        200: _webhook("The webhook, with its new secret.", _WITH_SECRET),
        **failures(*WITH_A_KEY, _NO_WEBHOOK),
    },
}

DELIVERIES: dict[str, Any] = {
    "summary": "Read what became of events",
    "responses": {
        200: answers(
            WebhookDeliveriesAnswer,
            description="A page of deliveries. `delivered` ones are kept as long as tasks, `dead` ones for 30 days.",
            example={
                "data": [_DEAD],
                "meta": {"limit": 1, "next_cursor": "d2a", "has_more": True},
                "request_id": EXAMPLE_REQUEST_ID,
            },
        ),
        **failures(
            *WITH_A_KEY,
            _NO_WEBHOOK,
            ValidationFailed(
                issues=[Issue(field="limit", code="out_of_range", message="limit must be between 1 and 1000.")]
            ),
        ),
    },
}

REPLAY: dict[str, Any] = {
    "summary": "Send an event again",
    "responses": {
        200: answers(
            WebhookDeliveryAnswer,
            description="The delivery as it is now; one that was pending is not changed.",
            example={"data": _AGAIN, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(*WITH_A_KEY, _NO_WEBHOOK, NotFound("There is no such delivery.")),
    },
}

REPLAY_DEAD: dict[str, Any] = {
    "summary": "Send all dead events again",
    "responses": {
        200: answers(
            ReplayAnswer,
            description="How many wait again. With more than 5,000, ask again for the rest.",
            example={"data": {"replayed": 412, "has_more": False}, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(*WITH_A_KEY, _NO_WEBHOOK),
    },
}
