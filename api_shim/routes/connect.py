"""`POST /v1/accounts/connect`."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api_shim import connecting, render
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.prefer import parse_prefer
from api_shim.request_id import request_id_of
from api_shim.routes import connect_docs
from connections.intake import parse_connect

router = APIRouter(tags=["accounts"])

# Two credentials and an id are a few hundred bytes.
_MAX_BODY_BYTES = 64 * 1024


@router.post("/v1/accounts/connect", operation_id="connect_account", status_code=201, **connect_docs.CONNECT)
async def connect_account(request: Request, caller: TheCaller) -> Response:
    """Connects an account with credentials.

    Waits for the outcome unless `Prefer` says otherwise.
    """
    preferences = parse_prefer(request.headers.getlist("prefer"))
    command = parse_connect(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    shim, request_id = shim_of(request), request_id_of(request)
    task = await connecting.connect(
        shim,
        caller,
        command,
        request_id=request_id,
        wait=preferences.wait_seconds(shim.settings.sync_wait_seconds),
    )
    return render.connect_answer(task, request_id, preferences)
