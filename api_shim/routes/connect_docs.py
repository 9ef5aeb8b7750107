"""What the documentation says of the connect routes."""

from typing import Any

from api_shim.idempotency_key import HEADER as IDEMPOTENCY_KEY
from api_shim.idempotency_key import KEY_PATTERN
from api_shim.openapi import (
    EXAMPLE_REQUEST_ID,
    EXAMPLE_TASK_ID,
    LOCATION,
    POLL_HEADERS,
    PREFERENCE_APPLIED,
    answers,
    connect_request_body,
    failures,
)
from connections.contract import AccountAnswer, Issue, ProviderError, TaskAnswer
from connections.errors import (
    AccountUnavailable,
    AlreadyConnected,
    BadRequest,
    ConnectTimeout,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    HostNotAllowed,
    IdempotencyKeyReused,
    IdentityUnusable,
    InvalidHandle,
    MainPasswordRejected,
    NotFound,
    PayloadTooLarge,
    QueueUnavailable,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
    UnsupportedMediaType,
    UpstreamFailed,
    UpstreamRateLimited,
    ValidationFailed,
)

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async` answers 202 at once; `wait=N` waits at most N seconds (0 to 60), then answers 202. "
    "Without either the call waits for a while and then answers 504. RFC 7240.",
    "schema": {"type": "string"},  # anything goes: what is unknown or malformed is ignored
}

_IDEMPOTENCY_KEY = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Names this request: sent again with the same key within 24 hours, it gets the same answer and "
    "causes no second login. A task that failed stays failed under its key: a new attempt needs a new key. 1 to 255 "
    "visible ASCII characters; a UUID is a good choice.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}

_ACCOUNT = {
    "id": "sa_01jd2w8v70e3g5j7m9q1s3v5x7",
    "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
    "platform": "bluesky",
    "account_name": "alice.bsky.social",
    "status": "active",
    "connection_type": "byo",
    "connected_at": "2026-11-23T10:00:00.123Z",
}
_ACCOUNT_DATA = _ACCOUNT | {
    "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "display_name": "Alice",
    "avatar_url": None,
}
_QUEUED = {
    "id": EXAMPLE_TASK_ID,
    "status": "queued",
    "platform": "bluesky",
    "profile_id": _ACCOUNT["profile_id"],
    "batch_id": None,
    "attempts": 0,
    "next_attempt_at": None,
    "created_at": "2026-11-23T10:00:00.123Z",
    "finished_at": None,
    "account": None,
    "error": None,
}
_SUCCEEDED = _QUEUED | {
    "status": "succeeded",
    "attempts": 1,
    "finished_at": "2026-11-23T10:00:00.987Z",
    "account": _ACCOUNT_DATA,
}

_BODIES = {
    "Bluesky": {
        "summary": "A handle and an app password",
        "value": {
            "platform": "bluesky",
            "credentials": {"handle": "alice.bsky.social", "app_password": "abcd-efgh-2345-wxyz"},
        },
    },
    "WithProfile": {
        "summary": "For one of several profiles",
        "value": {
            "profile_id": _ACCOUNT["profile_id"],
            "platform": "bluesky",
            "credentials": {"handle": "alice.bsky.social", "app_password": "abcd-efgh-2345-wxyz"},
        },
    },
}

_REQUIRED = "credentials.handle is required."
_NAMES_TASK = {"task_id": EXAMPLE_TASK_ID}

CONNECT: dict[str, Any] = {
    "responses": {
        201: answers(
            AccountAnswer,
            description="Connected.",
            headers=PREFERENCE_APPLIED,
            example=_ACCOUNT | {"data": _ACCOUNT_DATA, "request_id": EXAMPLE_REQUEST_ID},
        ),
        202: answers(
            TaskAnswer,
            description="Accepted, and not finished within the time the caller preferred to wait.",
            headers=LOCATION | PREFERENCE_APPLIED | POLL_HEADERS,
            example={"data": _QUEUED, "request_id": EXAMPLE_REQUEST_ID},
        )
        | {
            "links": {"Task": {"operationId": "get_connect_task", "parameters": {"task_id": "$response.body#/data/id"}}}
        },
        **failures(
            BadRequest("Idempotency-Key must be one value of 1 to 255 visible ASCII characters."),
            Unauthorized(),
            CredentialsRejected(
                provider=ProviderError(provider="bluesky", http_status=401, code="AuthenticationRequired")
            ),
            AlreadyConnected(
                "alice.bsky.social is already connected in this workspace.", details={"account_id": _ACCOUNT["id"]}
            ),
            PayloadTooLarge(),
            UnsupportedMediaType(),
            ValidationFailed(_REQUIRED, issues=[Issue(field="credentials.handle", code="required", message=_REQUIRED)]),
            *(
                kind()
                for kind in (
                    InvalidHandle,
                    HandleNotFound,
                    HandleMismatch,
                    IdentityUnusable,
                    HostNotAllowed,
                    MainPasswordRejected,
                    AccountUnavailable,
                )
            ),
            IdempotencyKeyReused(),
            RateLimited("Too many failed logins to this account. Wait before the next one."),
            UpstreamRateLimited(),
            UpstreamFailed(),
            QueueUnavailable(details=_NAMES_TASK),
            ServiceUnavailable(),
            ConnectTimeout(details=_NAMES_TASK),
            headers={504: LOCATION},
        ),
    },
    "openapi_extra": {"parameters": [_PREFER, _IDEMPOTENCY_KEY], **connect_request_body(_BODIES)},
}

GET_TASK: dict[str, Any] = {
    "responses": {
        200: answers(
            TaskAnswer,
            description="The task as it stands.",
            headers=POLL_HEADERS,
            example={"data": _SUCCEEDED, "request_id": EXAMPLE_REQUEST_ID},
        ),
        **failures(
            Unauthorized(),
            NotFound("There is no such connect task."),
            ServiceUnavailable(),
            ValidationFailed(
                issues=[Issue(field="wait", code="out_of_range", message="wait must be between 0 and 60.")]
            ),
        ),
    },
}
