"""`/v1/webhooks` and what is below it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.request_id import request_id_of
from api_shim.routes import webhooks_docs
from connections.contract import PageMeta
from connections.webhooks.contract import (
    DeliveryStatus,
    ReplayAnswer,
    WebhookAnswer,
    WebhookDeliveriesAnswer,
    WebhookDeliveryAnswer,
    WebhooksAnswer,
)
from connections.webhooks.service import MAX_WEBHOOKS

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

WebhookId = Annotated[str, Path(description="`wh_…`.", examples=[webhooks_docs.EXAMPLE_WEBHOOK_ID])]
DeliveryId = Annotated[str, Path(description="`wd_…`.", examples=[webhooks_docs.EXAMPLE_DELIVERY_ID])]

_MAX_BODY_BYTES = 64 * 1024
_MAX_LIMIT = 1000

# A cursor is the number of the last delivery of the page before. To the caller it is a word.
_CURSOR_PATTERN = "^d[0-9a-f]{1,15}$"


@router.post("", operation_id="create_webhook", status_code=201, **webhooks_docs.CREATE)
async def create_webhook(request: Request, caller: TheCaller) -> Response:
    """Makes a webhook. Its secret is in this answer, and in no later one."""
    body = await read_json(request, max_bytes=_MAX_BODY_BYTES)
    shim, request_id = shim_of(request), request_id_of(request)
    webhook = await shim.accepting.run(shim.webhooks.create, caller, body, request_id=request_id)
    headers = {"Location": f"/v1/webhooks/{webhook.id}"}
    return json_answer(WebhookAnswer(data=webhook, request_id=request_id), 201, headers)


@router.get("", operation_id="list_webhooks", **webhooks_docs.LIST)
async def list_webhooks(request: Request, caller: TheCaller) -> Response:
    """Lists the workspace's webhooks, all on one page."""
    shim = shim_of(request)
    webhooks = await shim.reading.run(shim.webhooks.all, caller)
    meta = PageMeta(limit=MAX_WEBHOOKS, next_cursor=None, has_more=False)
    return json_answer(WebhooksAnswer(data=webhooks, meta=meta, request_id=request_id_of(request)))


@router.get("/{webhook_id}", operation_id="get_webhook", **webhooks_docs.GET)
async def get_webhook(request: Request, caller: TheCaller, webhook_id: WebhookId) -> Response:
    """Tells of a webhook, and not its secret."""
    shim = shim_of(request)
    webhook = await shim.reading.run(shim.webhooks.get, caller, webhook_id)
    return json_answer(WebhookAnswer(data=webhook, request_id=request_id_of(request)))


@router.patch("/{webhook_id}", operation_id="update_webhook", **webhooks_docs.UPDATE)
async def update_webhook(request: Request, caller: TheCaller, webhook_id: WebhookId) -> Response:
    """Changes what is sent, and leaves the rest as it is."""
    body = await read_json(request, max_bytes=_MAX_BODY_BYTES)
    shim, request_id = shim_of(request), request_id_of(request)
    webhook = await shim.accepting.run(shim.webhooks.update, caller, webhook_id, body, request_id=request_id)
    return json_answer(WebhookAnswer(data=webhook, request_id=request_id))


@router.delete("/{webhook_id}", operation_id="delete_webhook", status_code=204, **webhooks_docs.DELETE)
async def delete_webhook(request: Request, caller: TheCaller, webhook_id: WebhookId) -> Response:
    """Deletes a webhook, and what it was still to be told."""
    shim = shim_of(request)
    await shim.accepting.run(shim.webhooks.delete, caller, webhook_id, request_id=request_id_of(request))
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", operation_id="rotate_webhook_secret", **webhooks_docs.ROTATE)
async def rotate_webhook_secret(request: Request, caller: TheCaller, webhook_id: WebhookId) -> Response:
    """Gives a webhook another secret, which is in this answer and signs whatever is sent from now on."""
    shim, request_id = shim_of(request), request_id_of(request)
    webhook = await shim.accepting.run(shim.webhooks.rotate, caller, webhook_id, request_id=request_id)
    return json_answer(WebhookAnswer(data=webhook, request_id=request_id))


@router.get("/{webhook_id}/deliveries", operation_id="list_webhook_deliveries", **webhooks_docs.DELIVERIES)
async def list_webhook_deliveries(
    request: Request,
    caller: TheCaller,
    webhook_id: WebhookId,
    *,
    limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Deliveries on a page.")] = 100,
    cursor: Annotated[
        str | None, Query(pattern=_CURSOR_PATTERN, description="`meta.next_cursor` of the page before.")
    ] = None,
    status: Annotated[
        str | None, Query(pattern=f"^({'|'.join(DeliveryStatus)})$", description="Only those with this one.")
    ] = None,
) -> Response:
    """Lists what a webhook was told and is to be told, the latest first."""
    shim = shim_of(request)
    page = await shim.reading.run(
        shim.webhooks.deliveries,
        caller,
        webhook_id,
        before=None if cursor is None else int(cursor.removeprefix("d"), 16),
        limit=limit,
        status=None if status is None else DeliveryStatus(status),
    )
    next_cursor = None if page.next_before is None else f"d{page.next_before:x}"
    meta = PageMeta(limit=limit, next_cursor=next_cursor, has_more=next_cursor is not None)
    return json_answer(WebhookDeliveriesAnswer(data=page.deliveries, meta=meta, request_id=request_id_of(request)))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay", operation_id="replay_webhook_delivery", **webhooks_docs.REPLAY
)
async def replay_webhook_delivery(
    request: Request, caller: TheCaller, webhook_id: WebhookId, delivery_id: DeliveryId
) -> Response:
    """Sends a delivery again that has ended, as the same event."""
    shim, request_id = shim_of(request), request_id_of(request)
    delivery = await shim.accepting.run(shim.webhooks.replay, caller, webhook_id, delivery_id, request_id=request_id)
    return json_answer(WebhookDeliveryAnswer(data=delivery, request_id=request_id))


@router.post("/{webhook_id}/replay", operation_id="replay_webhook", **webhooks_docs.REPLAY_DEAD)
async def replay_webhook(request: Request, caller: TheCaller, webhook_id: WebhookId) -> Response:
    """Sends all dead deliveries again, the oldest first."""
    shim, request_id = shim_of(request), request_id_of(request)
    replay = await shim.accepting.run(shim.webhooks.replay_dead, caller, webhook_id, request_id=request_id)
    return json_answer(ReplayAnswer(data=replay, request_id=request_id))
