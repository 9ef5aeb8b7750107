"""`/v1/connect/batches/{batch_id}` and what is below it."""

import math
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api_shim import batch_results
from api_shim.accept import preferred
from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.batch_results import CURSOR_PATTERN
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_BATCH_ID
from api_shim.request_id import request_id_of
from api_shim.routes import batches_docs
from connections.contract import Batch, BatchAnswer, RowStatus
from connections.paging import MAX_LIMIT

router = APIRouter(prefix="/v1/connect/batches/{batch_id}", tags=["batches"])

BatchId = Annotated[str, Path(description="`cb_…`, as `Location` named it.", examples=[EXAMPLE_BATCH_ID])]

_A_STATUS = "|".join(RowStatus)

# Who polls sees some twenty steps on the way to the end, and no step in vain.
_POLLS = 20
_POLL_AFTER_CAP_SECONDS = 60
POLL_AFTER_SECONDS = 5


@router.get("", operation_id="get_connect_batch", **batches_docs.GET_BATCH)
async def get_batch(request: Request, caller: TheCaller, batch_id: BatchId) -> Response:
    """Tells how a batch stands."""
    shim = shim_of(request)
    return _answer(await shim.reading.run(shim.batches.get, caller, batch_id), request)


@router.get("/results", operation_id="get_connect_batch_results", **batches_docs.GET_RESULTS)
async def get_batch_results(
    request: Request,
    caller: TheCaller,
    batch_id: BatchId,
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows on a page.")] = 100,
    cursor: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="`meta.next_cursor` of the page before.")
    ] = None,
    status: Annotated[
        str | None,
        Query(pattern=f"^({_A_STATUS})(,({_A_STATUS}))*$", description="Only rows with one of these, comma-separated."),
    ] = None,
) -> Response:
    """Tells how the rows ended, in input order: a page as JSON, or all of them as NDJSON or CSV."""
    shim = shim_of(request)
    statuses = frozenset(RowStatus(one) for one in status.split(",")) if status else frozenset[RowStatus]()
    media_type = preferred(request.headers.getlist("accept"), batch_results.OFFERS)
    if media_type != batch_results.JSON:
        return await batch_results.whole_answer(shim, caller, batch_id, media_type, statuses=statuses)
    after = batch_results.row_of(cursor)
    page = await shim.reading.run(shim.batches.results, caller, batch_id, after=after, limit=limit, statuses=statuses)
    return json_answer(batch_results.page_answer(page, limit, request_id_of(request)), headers=batch_results.HEADERS)


@router.get("/events", operation_id="get_connect_batch_events", response_class=Response, **batches_docs.GET_EVENTS)
async def get_batch_events(
    request: Request,
    caller: TheCaller,
    batch_id: BatchId,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", description="`id` of the last event that arrived.")
    ] = None,
) -> Response:
    """Tells how a batch comes on, as server-sent events: `progress` whenever it has changed, and `end`."""
    shim = shim_of(request)
    batch = await shim.reading.run(shim.batches.get, caller, batch_id)
    return shim.batch_events.answer(caller, batch, last_event_id)


@router.post("/cancel", operation_id="cancel_connect_batch", **batches_docs.CANCEL)
async def cancel_batch(request: Request, caller: TheCaller, batch_id: BatchId) -> Response:
    """Ends the rows that have not begun. Those that are running go on and count."""
    shim = shim_of(request)
    request_id = request_id_of(request)
    batch = await shim.accepting.run(shim.batches.cancel, caller, batch_id, request_id=request_id)
    return _answer(batch, request)


def _answer(batch: Batch, request: Request) -> Response:
    headers = {} if batch.finished_at else {"Retry-After": str(_poll_after(batch))}
    return json_answer(BatchAnswer(data=batch, request_id=request_id_of(request)), headers=headers)


def _poll_after(batch: Batch) -> int:
    """Seconds."""
    if batch.eta is None:
        return POLL_AFTER_SECONDS
    left = (batch.eta - datetime.now(UTC)).total_seconds() / _POLLS
    return math.ceil(min(max(left, 1.0), _POLL_AFTER_CAP_SECONDS))
