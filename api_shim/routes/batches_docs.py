"""What the documentation says of the routes that read and cancel a batch."""

from typing import Any

from api_shim.documented import (
    EXAMPLE_BATCH_ID,
    EXAMPLE_REQUEST_ID,
    EXAMPLE_TASK_ID,
    POLL_AFTER,
    WITH_A_KEY,
    answers,
    failures,
    header,
)
from connections.contract import Batch, BatchAnswer, BatchResult, BatchResultsAnswer, Issue, RowStatus
from connections.errors import Canceled, HandleNotFound, NotFound, ServiceUnavailable, ValidationFailed

_COUNTS = dict.fromkeys((status.value for status in RowStatus), 0)
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
_FINISHED = _BATCH | {
    "status": "finished",
    "counts": _COUNTS | {"connected": 9970, "failed": 27, "rejected": 3},
    "causes": {"unauthorized": 20, "handle_not_found": 7, "required": 3},
    "rate": None,
    "eta": None,
    "waits_for": None,
    "finished_at": "2026-11-23T10:16:12.345Z",
}
_CONNECTED = {
    "row": 1,
    "external_ref": "customer-17",
    "status": "connected",
    "task_id": EXAMPLE_TASK_ID,
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
_NOT_CONNECTED = {
    "row": 2,
    "external_ref": "customer-18",
    "status": "failed",
    "task_id": "ct_01jd2w8v6zrt5v7x9z1b3d5f7h",
    "attempts": 1,
    "finished_at": "2026-11-23T10:00:02.014Z",
    "account": None,
    "error": HandleNotFound().describe().model_dump(mode="json") | {"http_status": 422},
}
_NEVER_BEGUN = _NOT_CONNECTED | {
    "row": 3,
    "external_ref": "customer-19",
    "status": "canceled",
    "task_id": "ct_01jd2w8v6zsv6w8y0a2c4e6g8j",
    "attempts": 0,
    "finished_at": "2026-11-23T10:04:33.000Z",
    "error": Canceled().describe().model_dump(mode="json") | {"http_status": 409},
}
_ROWS = [_CONNECTED, _NOT_CONNECTED, _NEVER_BEGUN]
_PAGE = {
    "data": _ROWS,
    "meta": {"limit": 3, "next_cursor": "r3", "has_more": True},
    "request_id": EXAMPLE_REQUEST_ID,
}

_NDJSON = "".join(f"{BatchResult.model_validate(row).model_dump_json()}\n" for row in _ROWS)
_CSV = (
    "row,line,external_ref,status,account_id,account_name,external_account_id,code,issue,message,finished_at\r\n"
    "1,,customer-17,connected,sa_01jd2w8v70e3g5j7m9q1s3v5x7,alice.bsky.social,did:plc:ewvi7nxzyoun6zhxrhs64oiz,,,,"
    "2026-11-23T10:00:01.987Z\r\n"
    "2,,customer-18,failed,,,,VALIDATION_ERROR,handle_not_found,No account has this handle.,"
    "2026-11-23T10:00:02.014Z\r\n"
    "3,,customer-19,canceled,,,,CANCELED,,The batch was canceled before this row was tried.,"
    "2026-11-23T10:04:33.000Z\r\n"
)
_STREAM = (
    "retry: 2000\n\n"
    f"id: 5d0f9c2b7a4e1836\nevent: progress\ndata: {Batch.model_validate(_BATCH).model_dump_json()}\n\n"
    f"id: 0b7e2d4c91f6a835\nevent: progress\ndata: {Batch.model_validate(_FINISHED).model_dump_json()}\n\n"
    f"id: 0b7e2d4c91f6a835-end\nevent: end\ndata: {Batch.model_validate(_FINISHED).model_dump_json()}\n\n"
)

_TEXT = {"type": "string"}
# Of each event: the stream as a whole has no end and no schema.
_EVENT = {
    "type": "object",
    "description": "Each event of the stream.",
    "properties": {
        "id": {**_TEXT, "description": "Names the state; send it as `Last-Event-ID` to be told only what is new."},
        "event": {**_TEXT, "enum": ["progress", "end"]},
        "data": {**_TEXT, "contentMediaType": "application/json", "description": "The batch."},
    },
    "required": ["id", "event", "data"],
}
_VARY = {"Vary": header("Which answer it is goes by this header of the request.", const="Accept")}
_AS_A_FILE = {
    "Content-Disposition": header(
        "A file's name, for NDJSON and CSV.", examples=[f'attachment; filename="{EXAMPLE_BATCH_ID}.csv"']
    )
}
_NOT_KEPT = {
    "Cache-Control": header("Nobody may keep it.", const="no-store"),
    "X-Accel-Buffering": header("No proxy may hold events back (nginx).", const="no"),
}

_REFUSALS = (*WITH_A_KEY, NotFound("There is no such batch."))


def _batch(description: str, *examples: dict[str, Any]) -> dict[str, Any]:
    return answers(
        BatchAnswer,
        description=description,
        headers=POLL_AFTER,
        examples={
            example["status"].capitalize(): {
                "summary": f"`{example['status']}`",
                "value": {"data": example, "request_id": EXAMPLE_REQUEST_ID},
            }
            for example in examples
        },
    )


GET_BATCH: dict[str, Any] = {
    "summary": "Look at a batch",
    "responses": {200: _batch("The batch as it stands.", _BATCH, _FINISHED), **failures(*_REFUSALS)},
}

CANCEL: dict[str, Any] = {
    "summary": "Cancel a batch",
    "responses": {
        200: _batch("The batch as it stands now; one that had ended is not changed.", _CANCELED, _FINISHED),
        **failures(*_REFUSALS),
    },
}

_results = answers(
    BatchResultsAnswer, description="A page of rows, or all of them.", headers=_VARY | _AS_A_FILE, example=_PAGE
)
_results["content"] |= {
    "application/x-ndjson": {"schema": _TEXT, "example": _NDJSON},
    "text/csv": {"schema": _TEXT, "example": _CSV},
}

GET_RESULTS: dict[str, Any] = {
    "summary": "Read what became of the rows",
    "responses": {
        200: _results,
        **failures(
            *_REFUSALS,
            ValidationFailed(
                issues=[Issue(field="limit", code="out_of_range", message="limit must be between 1 and 1000.")]
            ),
        ),
    },
}

GET_EVENTS: dict[str, Any] = {
    "summary": "Follow a batch",
    "responses": {
        200: {
            "description": "`progress` and, when all rows have ended, `end`; both carry the batch. A stream ends after "
            "five minutes at the latest: come again with `Last-Event-ID`.",
            "headers": _NOT_KEPT,
            "content": {"text/event-stream": {"schema": _EVENT, "example": _STREAM}},
        },
        204: {"description": "The end has been told. Do not come again.", "headers": _NOT_KEPT},
        **failures(
            *_REFUSALS,
            ServiceUnavailable("Too many callers listen to batches. The batch goes on; poll it instead."),
        ),
    },
}
