"""`POST /v1/connect/batches`."""

import re
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.body import refuse_encoded
from api_shim.bootstrap import Shim, shim_of
from api_shim.idempotency_key import HEADER as IDEMPOTENCY_KEY
from api_shim.idempotency_key import parse_idempotency_key
from api_shim.request_id import answer_as, request_id_of
from api_shim.routes import batch_intake_docs
from api_shim.routes.batches import POLL_AFTER_SECONDS
from api_shim.upload import Upload
from connections import tracing
from connections.bulk.intake import AcceptedDelivery, BatchFormat, Delivery
from connections.contract import AcceptedBatchAnswer, BatchStatus, Issue
from connections.errors import QueueUnavailable, UnsupportedMediaType
from connections.intake import read_platform, refused
from connections.messages import Queue
from connections.platforms import PLATFORMS
from connections.service import Caller

router = APIRouter(tags=["batches"])

# RFC 9110, 8.3: a type and its parameters, of which only the character set matters.
_MEDIA_TYPE = re.compile(r"\s*(?P<type>[^\s;]+)\s*(?:;(?P<parameters>.*))?", re.DOTALL)
_CHARSET = re.compile(r"(?:^|;)\s*charset\s*=\s*\"?(?P<name>[^\s\";]*)", re.IGNORECASE)

_FORMATS = {
    "application/json": BatchFormat.JSON,
    "application/x-ndjson": BatchFormat.NDJSON,
    "text/csv": BatchFormat.CSV,
}
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})


@router.post(
    "/v1/connect/batches",
    operation_id="create_connect_batch",
    status_code=202,
    **batch_intake_docs.CREATE_BATCH,
)
async def create_batch(
    request: Request,
    caller: TheCaller,
    platform: Annotated[
        str, Query(description="Of the rows, for NDJSON and CSV.", json_schema_extra={"enum": sorted(PLATFORMS)})
    ] = "bluesky",
    profile_id: Annotated[
        str | None, Query(description="Of the rows that name none themselves, for NDJSON and CSV.")
    ] = None,
) -> Response:
    """Connects many accounts: takes in rows with credentials, and answers before any of them is tried."""
    key = parse_idempotency_key(request.headers.getlist(IDEMPOTENCY_KEY))
    format_ = read_format(request.headers.get("content-type", ""))
    refuse_encoded(request)
    issues: list[Issue] = []
    read_platform(platform, issues)
    if issues:  # whatever the body says
        raise refused(issues)
    shim = shim_of(request)
    with Upload(request) as pieces:
        accepted = await shim.importing.run(
            _accept,
            shim,
            caller,
            Delivery(format_, pieces, platform, profile_id),
            request_id=request_id_of(request),
            idempotency_key=key,
        )
    answer_as(request, accepted.request_id)
    answer = AcceptedBatchAnswer(data=accepted.batch, request_id=accepted.request_id)
    headers = {"Location": f"/v1/connect/batches/{accepted.batch.id}"}
    if accepted.batch.status is BatchStatus.RUNNING:
        headers["Retry-After"] = str(POLL_AFTER_SECONDS)
    return json_answer(answer, 202, headers)


def _accept(
    shim: Shim, caller: Caller, delivery: Delivery, *, request_id: str, idempotency_key: str | None
) -> AcceptedDelivery:
    traceparent = tracing.traceparent()
    with tracing.span("batch accept") as span:
        accepted = shim.intake.accept(
            caller, delivery, request_id=request_id, idempotency_key=idempotency_key, traceparent=traceparent
        )
        span.note({"connector.batch.id": accepted.batch.id, "connector.rows": accepted.batch.total})
    with suppress(QueueUnavailable), tracing.publishing(Queue.CONTROL):
        shim.queue.ask_for_dispatch()
    return accepted


def read_format(content_type: str) -> BatchFormat:
    """The format of a media type. Raises `UnsupportedMediaType` for any other, and for text that is not UTF-8."""
    match = _MEDIA_TYPE.fullmatch(content_type)
    format_ = _FORMATS.get(match["type"].lower()) if match else None
    if match is None or format_ is None:
        raise UnsupportedMediaType(f"Send the rows as {', '.join([*_FORMATS][:-1])} or {[*_FORMATS][-1]}.")
    charset = _CHARSET.search(match["parameters"] or "")
    if charset is not None and charset["name"].lower() not in _UTF8:
        raise UnsupportedMediaType("Send the rows as UTF-8.")
    return format_
