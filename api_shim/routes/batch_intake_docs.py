"""What the documentation says of the route that takes a batch in."""

from typing import Any

from api_shim.documented import (
    EXAMPLE_BATCH_ID,
    EXAMPLE_REQUEST_ID,
    POLL_AFTER,
    WITH_A_KEY,
    answers,
    failures,
    location,
)
from api_shim.idempotency_key import HEADER as IDEMPOTENCY_KEY
from api_shim.idempotency_key import KEY_PATTERN
from connections.bulk.rows import MAX_BYTES, MAX_EXTERNAL_REF, MAX_ROWS, TOO_LARGE
from connections.contract import AcceptedBatchAnswer, Issue
from connections.errors import (
    BadRequest,
    IdempotencyKeyReused,
    PayloadTooLarge,
    ServiceUnavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from connections.platforms import PLATFORMS

_IDEMPOTENCY_KEY = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Names this request: the same body sent again with the same key within 24 hours gets the same "
    "answer and makes no second batch. 1 to 255 visible ASCII characters; a UUID is a good choice.",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}

_ROW = {
    "type": "object",
    "description": "`identifier` and `password` are accepted as aliases of `handle` and `app_password`.",
    "required": ["handle", "app_password"],
    "properties": {
        "handle": {"type": "string", "description": "Handle or DID.", "examples": ["alice.bsky.social"]},
        "app_password": {"type": "string", "description": "An app password, never the main password."},
        "profile_id": {"type": ["string", "null"], "description": "In place of the batch's."},
        "external_ref": {
            "type": ["string", "null"],
            "maxLength": MAX_EXTERNAL_REF,
            "description": "Your own name for the row, found again in its result.",
        },
    },
}
_BODY = {
    "type": "object",
    "required": ["platform", "items"],
    "properties": {
        "profile_id": {
            "type": ["string", "null"],
            "description": "Profile that will own the accounts of rows that name none; must come before `items`.",
        },
        "platform": {"type": "string", "enum": sorted(PLATFORMS)},
        "items": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_ROWS,
            # A bad row is no bad request.
            "items": {"anyOf": [_ROW, {"description": "Anything else is rejected, as a row of its own."}]},
        },
    },
}

_ROWS = [
    {"handle": "alice.bsky.social", "app_password": "abcd-efgh-2345-wxyz", "external_ref": "customer-17"},
    {"handle": "bob.bsky.social", "app_password": "abcd-efgh-2345-wxyz", "external_ref": "customer-18"},
]
_NDJSON = "\n".join(
    f'{{"handle": "{row["handle"]}", "app_password": "{row["app_password"]}", "external_ref": "{row["external_ref"]}"}}'
    for row in _ROWS
)
_CSV = "\n".join([",".join(_ROWS[0]), *(",".join(row.values()) for row in _ROWS)])

_MISSING = Issue(field="app_password", code="required", message="app_password is required.")
_NO_COLUMN = "Line 1 must name the columns, and there is none called handle or identifier."

CREATE_BATCH: dict[str, Any] = {
    "summary": "Connect many accounts",
    "responses": {
        202: answers(
            AcceptedBatchAnswer,
            description="Accepted: every row that is not among `rejected` will be tried.",
            headers=location("The batch, to be polled.") | POLL_AFTER,
            example={
                "data": {
                    "id": EXAMPLE_BATCH_ID,
                    "status": "running",
                    "total": 10000,
                    "rejected": [
                        {"row": 17, "line": 18, "external_ref": "customer-33", "issues": [_MISSING.model_dump()]}
                    ],
                },
                "request_id": EXAMPLE_REQUEST_ID,
            },
        )
        | {
            "links": {
                "Batch": {"operationId": "get_connect_batch", "parameters": {"batch_id": "$response.body#/data/id"}}
            }
        },
        **failures(
            *WITH_A_KEY,
            BadRequest("The body came too slowly."),
            PayloadTooLarge("A batch has at most 10,000 rows. Send the others as another batch."),
            PayloadTooLarge(TOO_LARGE),
            UnsupportedMediaType("Send the rows as application/json, application/x-ndjson or text/csv."),
            UnsupportedMediaType("Send the rows as UTF-8."),
            UnsupportedMediaType("Send the body without a Content-Encoding."),
            ValidationFailed(
                _NO_COLUMN,
                issues=[Issue(field="body", code="missing_column", message=_NO_COLUMN)],
                details={"line": 1},
            ),
            IdempotencyKeyReused(),
            ServiceUnavailable("The service is overloaded right now. Nothing was stored; try again."),
        ),
    },
    "openapi_extra": {
        "parameters": [_IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "description": f"At most {MAX_ROWS:,} rows and {MAX_BYTES // 2**20} MiB. NDJSON and CSV are UTF-8; a "
            "CSV begins with a header, its columns come in any order, separated by commas, semicolons or tabs.",
            "content": {
                "application/json": {"schema": _BODY, "example": {"platform": "bluesky", "items": _ROWS}},
                "application/x-ndjson": {"schema": {"description": "One object a line."}, "example": _NDJSON},
                "text/csv": {"schema": {"description": "A header, then one row a line."}, "example": _CSV},
            },
        },
    },
}
