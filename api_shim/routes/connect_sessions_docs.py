"""What the documentation says of the links to the hosted form."""

from typing import Any

from api_shim.documented import EXAMPLE_REQUEST_ID, EXAMPLE_SESSION_ID, WITH_A_KEY, answers, failures, location
from connections.connect_sessions.service import NOT_ALLOWED
from connections.contract import ConnectSessionAnswer, Issue
from connections.errors import (
    NoHostedForm,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)

_SESSION = {
    "id": EXAMPLE_SESSION_ID,
    "url": "https://connect.example.com/connect/Zm9yIHRoZSBkb2N1bWVudGF0aW9uLCBhbmQgbm8gbW8",
    "allow_quickstart_creds": False,
    "status": "pending",
    "expires_at": "2026-11-23T11:00:00.123Z",
    "platform": "bluesky",
    "external_user_id": "user-42",
    "external_user_email": "alice@example.com",
    "return_url": "https://app.example.com/accounts?tab=social",
    "created_at": "2026-11-23T10:00:00.123Z",
    "completed_at": None,
    "completed_social_account_id": None,
}
_COMPLETED = _SESSION | {
    "url": "",
    "status": "completed",
    "completed_at": "2026-11-23T10:04:05.678Z",
    "completed_social_account_id": "sa_01jd2w8v70e3g5j7m9q1s3v5x7",
}

_BODIES = {
    "Plain": {
        "summary": "A link for one of your users",
        "value": {"platform": "bluesky", "external_user_id": "user-42"},
    },
    "WithReturn": {
        "summary": "One that leads back to you, for one of several profiles",
        "value": {
            "platform": "bluesky",
            "external_user_id": "user-42",
            "external_user_email": "alice@example.com",
            "return_url": _SESSION["return_url"],
            "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
        },
    },
}

_REQUIRED = "external_user_id is required."

CREATE_SESSION: dict[str, Any] = {
    "summary": "Make a link to the hosted form",
    "responses": {
        201: answers(
            ConnectSessionAnswer,
            description="The link, which is told now and never again.",
            headers=location("The session, to be looked at later."),
            example={"data": _SESSION, "request_id": EXAMPLE_REQUEST_ID},
        )
        | {
            "links": {
                "Session": {
                    "operationId": "get_connect_session",
                    "parameters": {"session_id": "$response.body#/data/id"},
                }
            }
        },
        **failures(
            *WITH_A_KEY,
            PayloadTooLarge(),
            UnsupportedMediaType(),
            ValidationFailed(_REQUIRED, issues=[Issue(field="external_user_id", code="required", message=_REQUIRED)]),
            ValidationFailed(NOT_ALLOWED.message, issues=[NOT_ALLOWED]),
            NoHostedForm(),
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": "JSON of at most 64 KiB; what is not known is ignored.",
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/ConnectSessionRequest"},
                    "examples": _BODIES,
                }
            },
        },
    },
}

GET_SESSION: dict[str, Any] = {
    "summary": "Look at a link",
    "responses": {
        200: answers(
            ConnectSessionAnswer,
            description="The session as it stands. Its `url` is empty.",
            example={"data": _COMPLETED, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(*WITH_A_KEY, NotFound("There is no such connect session.")),
    },
}
