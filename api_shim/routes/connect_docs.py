"""What the documentation says of the connect routes."""

from collections.abc import Mapping
from typing import Any

from api_shim.documented import (
    EXAMPLE_REQUEST_ID,
    EXAMPLE_TASK_ID,
    POLL_AFTER,
    RETRY_AFTER,
    WITH_A_KEY,
    AfterTries,
    answers,
    failures,
    header,
    location,
)
from api_shim.idempotency_key import HEADER as IDEMPOTENCY_KEY
from api_shim.idempotency_key import KEY_PATTERN
from connections.contract import AccountAnswer, Issue, ProviderError, RetryPolicy, RetryState, TaskAnswer
from connections.errors import (
    AccountUnavailable,
    AlreadyConnected,
    AnotherAccount,
    BadRequest,
    ConnectorError,
    ConnectTimeout,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    HostFailing,
    HostNotAllowed,
    IdempotencyKeyReused,
    IdentityUnusable,
    InvalidHandle,
    KeyUnavailable,
    MainPasswordRejected,
    NotFound,
    OutOfBudget,
    PayloadTooLarge,
    QueueUnavailable,
    RateLimited,
    ServiceUnavailable,
    TaskExpired,
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

EXAMPLE_ACCOUNT_ID = "sa_01jd2w8v70e3g5j7m9q1s3v5x7"
_ACCOUNT = {
    "id": EXAMPLE_ACCOUNT_ID,
    "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
    "platform": "bluesky",
    "account_name": "alice.bsky.social",
    "status": "active",
    "connection_type": "byo",
    "connected_at": "2026-11-23T10:00:00.123Z",
}
_ACCOUNT_DATA = _ACCOUNT | {
    "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "display_name": None,
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

_RECONNECT_BODIES = {
    "Bluesky": {
        "summary": "A handle and a new app password",
        "value": {"credentials": {"handle": "alice.bsky.social", "app_password": "abcd-efgh-2345-wxyz"}},
    },
}

_FAILED = _QUEUED | {
    "status": "failed",
    "attempts": 1,
    "finished_at": "2026-11-23T10:00:00.987Z",
    "error": HandleNotFound().describe().model_dump(mode="json") | {"http_status": 422},
}

_REQUIRED = "credentials.handle is required."
_NAMES_TASK = {"task_id": EXAMPLE_TASK_ID}


def _provider(status: int, code: str | None = None, *, is_transient: bool | None = None) -> ProviderError:
    return ProviderError(provider="bluesky", http_status=status, code=code, is_transient=is_transient)


def _exhausted(reason: str, *, attempts: int = 1) -> RetryPolicy:
    return RetryPolicy.of(RetryState.EXHAUSTED, attempts=attempts, max_attempts=5, reason=reason)


# Errors that are the outcome of the task come with what was preferred, as its success does.
_APPLIED = {"Preference-Applied": header("The preferences that were honoured, RFC 7240.", examples=["wait=5"])}
_OF_OUTCOMES: Mapping[int, dict[str, Any]] = {
    401: _APPLIED,
    409: _APPLIED,
    422: _APPLIED,
    429: _APPLIED,
    500: _APPLIED | RETRY_AFTER,
    503: _APPLIED,
    504: _APPLIED | location("The task, to be polled; not there when its time ran out."),
}

_OUTLASTED = "the rate limit outlasts the caller's wait"

_FAILURES: tuple[ConnectorError | AfterTries, ...] = (
    *WITH_A_KEY,
    BadRequest("Idempotency-Key must be one value of 1 to 255 visible ASCII characters."),
    CredentialsRejected(provider=_provider(401, "AuthenticationRequired", is_transient=False)),
    AlreadyConnected(
        "alice.bsky.social is already connected in this workspace.", details={"account_id": EXAMPLE_ACCOUNT_ID}
    ),
    PayloadTooLarge(),
    UnsupportedMediaType(),
    UnsupportedMediaType("Send the body without a Content-Encoding."),
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
    AfterTries(
        RateLimited("Too many failed logins to this account. Wait before the next one."),
        _exhausted(_OUTLASTED, attempts=0),
    ),
    AfterTries(UpstreamRateLimited(provider=_provider(429, "RateLimitExceeded")), _exhausted(_OUTLASTED)),
    AfterTries(OutOfBudget(host="bsky.social"), _exhausted(_OUTLASTED, attempts=0)),
    AfterTries(
        UpstreamFailed(provider=_provider(502, is_transient=True)),
        _exhausted("all attempts are used up", attempts=5),
    ),
    AfterTries(HostFailing(), _exhausted("a server that is needed is failing for everyone", attempts=0)),
    QueueUnavailable(details=_NAMES_TASK),
    ServiceUnavailable("The service is overloaded right now. Nothing was stored; try again."),
    ServiceUnavailable(
        "The service cannot reach its database right now. The task is stored and goes on.", details=_NAMES_TASK
    ),
    AfterTries(KeyUnavailable(), _exhausted("the task's time ends before the next attempt could start", attempts=0)),
    AfterTries(ConnectTimeout(details=_NAMES_TASK), RetryPolicy.of(RetryState.SCHEDULED, attempts=1, max_attempts=5)),
    AfterTries(TaskExpired(), _exhausted("the task's time ended before it could be finished")),
)


def _outcome(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    """The account, at once or later."""
    return {
        status: answers(
            AccountAnswer,
            description=description,
            headers=_APPLIED,
            example=_ACCOUNT | {"data": _ACCOUNT_DATA, "request_id": EXAMPLE_REQUEST_ID},
        ),
        202: answers(
            TaskAnswer,
            description="Accepted, and not finished within the time the caller preferred to wait.",
            headers=location("The task, to be polled.") | _APPLIED | POLL_AFTER,
            example={"data": _QUEUED, "request_id": EXAMPLE_REQUEST_ID},
        )
        | {
            "links": {"Task": {"operationId": "get_connect_task", "parameters": {"task_id": "$response.body#/data/id"}}}
        },
    }


def _request(schema: str, examples: dict[str, Any]) -> dict[str, Any]:
    return {
        "parameters": [_PREFER, _IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "description": "JSON of at most 64 KiB; what is not known is ignored.",
            "content": {
                "application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "examples": examples}
            },
        },
    }


CONNECT: dict[str, Any] = {
    "summary": "Connect an account",
    "responses": {**_outcome(201, "Connected."), **failures(*_FAILURES, headers=_OF_OUTCOMES)},
    "openapi_extra": _request("ConnectRequest", _BODIES),
}

RECONNECT: dict[str, Any] = {
    "summary": "Reconnect an account",
    "responses": {
        **_outcome(200, "Reconnected."),
        **failures(*_FAILURES, AnotherAccount(), NotFound("There is no such account."), headers=_OF_OUTCOMES),
    },
    "openapi_extra": _request("ReconnectRequest", _RECONNECT_BODIES),
}

GET_TASK: dict[str, Any] = {
    "summary": "Look at a task",
    "responses": {
        200: answers(
            TaskAnswer,
            description="The task as it stands.",
            headers=POLL_AFTER,
            examples={
                name: {"summary": summary, "value": {"data": task, "request_id": EXAMPLE_REQUEST_ID}}
                for name, summary, task in (
                    ("Succeeded", "Connected: the account", _SUCCEEDED),
                    ("Queued", "Not begun yet", _QUEUED),
                    ("Failed", "Not connected: the error that a plain call would have got", _FAILED),
                )
            },
        ),
        **failures(
            *WITH_A_KEY,
            NotFound("There is no such connect task."),
            ValidationFailed(
                issues=[Issue(field="wait", code="out_of_range", message="wait must be between 0 and 60.")]
            ),
        ),
    },
}
