"""What the documentation says of the routes that read and cancel a batch."""

from typing import Any

from api_shim.openapi import EXAMPLE_REQUEST_ID, POLL_HEADERS, answers, failures
from connections.contract import BatchAnswer, BatchResultsAnswer, Issue, RowStatus
from connections.errors import NotFound, ServiceUnavailable, Unauthorized, ValidationFailed

EXAMPLE_BATCH_ID = "cb_01jd2w8v5a7c9e1g3j5m7p9r1t"

_COUNTS = dict.fromkeys(RowStatus, 0)
_BATCH = {
    "id": EXAMPLE_BATCH_ID,
    "status": "running",
    "platform": "bluesky",
    "total": 10000,
    "counts": _COUNTS | {"queued": 7358, "running": 40, "connected": 2590, "failed": 9, "rejected": 3},
    "causes": {"unauthorized": 9, "required": 3},
    "rate": 9.6,
    "eta": "2026-11-23T10:16:10.000Z",
    "waits_for": {"reason": "rate_limit", "host": "bsky.social", "budget": "3000/300"},
    "created_at": "2026-11-23T10:00:00.123Z",
    "canceled_at": None,
    "finished_at": None,
}
_CANCELED = _BATCH | {
    "status": "canceling",
    "counts": _COUNTS | {"running": 40, "connected": 2590, "failed": 9, "canceled": 7358, "rejected": 3},
    "eta": "2026-11-23T10:04:37.000Z",
    "waits_for": None,
    "canceled_at": "2026-11-23T10:04:33.000Z",
}
_CONNECTED = {
    "row": 1,
    "external_ref": "customer-17",
    "status": "connected",
    "task_id": "ct_01jd2w8v6zq5r8d0f2h4j6m8p1",
    "attempts": 1,
    "finished_at": "2026-11-23T10:00:01.987Z",
    "account": {
        "id": "sa_01jd2w8v70e3g5j7m9q1s3v5x7",
        "profile_id": "pr_01jd2w4k1c8e0g2j4m6p8r0t2v",
        "platform": "bluesky",
        "account_name": "alice.bsky.social",
        "status": "active",
        "connection_type": "byo",
        "connected_at": "2026-11-23T10:00:01.950Z",
        "external_account_id": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "display_name": None,
        "avatar_url": None,
    },
    "error": None,
}
_PAGE = {
    "data": [_CONNECTED],
    "meta": {"limit": 1, "next_cursor": "r1", "has_more": True},
    "request_id": EXAMPLE_REQUEST_ID,
}

_NDJSON = '{"row":1,"external_ref":"customer-17","status":"connected", …}\n'
_CSV = (
    "row,line,external_ref,status,account_id,account_name,external_account_id,code,issue,message,finished_at\r\n"
    "1,,customer-17,connected,sa_01jd2w8v70e3g5j7m9q1s3v5x7,alice.bsky.social,did:plc:ewvi7nxzyoun6zhxrhs64oiz,,,,"
    "2026-11-23T10:00:01.987Z\r\n"
)
_STREAM = (
    "retry: 2000\n\n"
    'id: 5d0f9c2b7a4e1836\nevent: progress\ndata: {"id": "cb_…", …}\n\n'
    'id: 5d0f9c2b7a4e1836-end\nevent: end\ndata: {"id": "cb_…", …}\n\n'
)

_TEXT = {"type": "string"}
# Of each event: the stream as a whole has no end and no schema.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {**_TEXT, "description": "Names the state; send it as `Last-Event-ID` to be told only what is new."},
        "event": {**_TEXT, "enum": ["progress", "end"]},
        "data": {**_TEXT, "contentMediaType": "application/json", "description": "The batch."},
    },
    "required": ["id", "event", "data"],
}
_REFUSALS = (Unauthorized(), NotFound("There is no such batch."), ServiceUnavailable())


def _batch(description: str, example: dict[str, Any]) -> dict[str, Any]:
    return answers(
        BatchAnswer,
        description=description,
        headers=POLL_HEADERS,
        example={"data": example, "request_id": EXAMPLE_REQUEST_ID},
    )


GET_BATCH: dict[str, Any] = {"responses": {200: _batch("The batch as it stands.", _BATCH), **failures(*_REFUSALS)}}

CANCEL: dict[str, Any] = {
    "responses": {
        200: _batch("The batch as it stands now; one that had ended is not changed.", _CANCELED),
        **failures(*_REFUSALS),
    }
}

_results = answers(BatchResultsAnswer, description="A page of rows, or all of them.", example=_PAGE)
_results["content"] |= {
    "application/x-ndjson": {"schema": _TEXT, "example": _NDJSON},
    "text/csv": {"schema": _TEXT, "example": _CSV},
}

GET_RESULTS: dict[str, Any] = {
    "responses": {
        200: _results,
        **failures(
            *_REFUSALS,
            ValidationFailed(
                issues=[Issue(field="limit", code="out_of_range", message="limit must be between 1 and 1000.")]
            ),
        ),
    }
}

GET_EVENTS: dict[str, Any] = {
    "responses": {
        200: {
            "description": "`progress` and, when all rows have ended, `end`; both carry the batch.",
            "content": {"text/event-stream": {"schema": _EVENT, "example": _STREAM}},
        },
        204: {"description": "The end has been told. Do not come again."},
        **failures(*_REFUSALS),
    }
}
