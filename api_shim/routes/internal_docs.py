"""What the documentation says of the routes for other services of the operator."""

from typing import Any

from api_shim.documented import (
    EXAMPLE_REQUEST_ID,
    RETRY_AFTER,
    WITH_A_KEY,
    answers,
    failures,
    header,
)
from api_shim.routes.connect_docs import EXAMPLE_ACCOUNT_ID
from connections.contract import AccountSessionAnswer, Issue
from connections.errors import (
    Forbidden,
    HostFailing,
    KeyUnavailable,
    NotFound,
    OutOfBudget,
    PayloadTooLarge,
    QueueUnavailable,
    ReconnectRequired,
    SessionTimeout,
    UnsupportedMediaType,
    UpstreamFailed,
    UpstreamRateLimited,
    ValidationFailed,
)
from connections.intake import DEFAULT_SECONDS_LEFT, MOST_SECONDS_LEFT

_SESSION = {
    "account_id": EXAMPLE_ACCOUNT_ID,
    "platform": "bluesky",
    "did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "handle": "alice.bsky.social",
    "service_endpoint": "https://morel.us-east.host.bsky.network",
    "access_token": "(the token)",
    "expires_at": "2026-11-23T12:00:00.000Z",
}

_BODY = {
    "type": "object",
    "properties": {
        "min_seconds_left": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MOST_SECONDS_LEFT,
            "default": DEFAULT_SECONDS_LEFT,
            "description": "For how long the token must work from now on; one that does not is refreshed first.",
        }
    },
}

_OUT_OF_RANGE = f"min_seconds_left must be between 0 and {MOST_SECONDS_LEFT}."

OPEN_ACCOUNT_SESSION: dict[str, Any] = {
    "summary": "Get an account's live session",
    "responses": {
        200: answers(
            AccountSessionAnswer,
            description="A session. What refreshes it is never given out: ask again.",
            headers={"Cache-Control": header("Nobody on the way keeps it.", const="no-store")},
            example={"data": _SESSION, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(
            *WITH_A_KEY,
            Forbidden(),
            NotFound("There is no such account."),
            ReconnectRequired(),
            PayloadTooLarge(),
            UnsupportedMediaType(),
            UnsupportedMediaType("Send the body without a Content-Encoding."),
            ValidationFailed(
                _OUT_OF_RANGE, issues=[Issue(field="min_seconds_left", code="out_of_range", message=_OUT_OF_RANGE)]
            ),
            UpstreamRateLimited(),
            OutOfBudget(host="bsky.social"),
            UpstreamFailed(),
            HostFailing(),
            QueueUnavailable("The queue cannot be reached right now. No session was given out; try again."),
            KeyUnavailable("The service cannot open the session right now."),
            SessionTimeout(),
            headers={500: RETRY_AFTER},
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": False,
            "description": "JSON of at most 4 KiB; what is not known is ignored.",
            "content": {"application/json": {"schema": _BODY, "example": {"min_seconds_left": 600}}},
        },
    },
}
