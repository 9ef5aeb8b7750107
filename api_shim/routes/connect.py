"""`POST /v1/accounts/connect` and `POST /v1/accounts/{account_id}/reconnect`: the same way, for an account more or the
same once more."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api_shim import connecting, render
from api_shim.account_path import ACCOUNT
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.hanging_up import listening
from api_shim.idempotency_key import HEADER as IDEMPOTENCY_KEY
from api_shim.idempotency_key import parse_idempotency_key
from api_shim.prefer import parse_prefer
from api_shim.request_id import answer_as, request_id_of
from api_shim.routes import connect_docs
from connections.intake import ConnectCommand, is_id, no_such_account, parse_connect, parse_reconnect
from connections.service import Caller

router = APIRouter(tags=["accounts"])

PATH = "/v1/accounts/connect"

# Two credentials and an id are a few hundred bytes.
_MAX_BODY_BYTES = 64 * 1024


@router.post(PATH, operation_id="connect_account", status_code=201, **connect_docs.CONNECT)
async def connect_account(request: Request, caller: TheCaller) -> Response:
    """Connects an account with credentials.

    Waits for the outcome unless `Prefer` says otherwise.
    """
    return await _answer(request, caller, parse_connect)


@router.post(f"{ACCOUNT}/reconnect", operation_id="reconnect_account", **connect_docs.RECONNECT)
async def reconnect_account(
    request: Request,
    caller: TheCaller,
    account_id: Annotated[str, Path(description="`sa_…`.", examples=[connect_docs.EXAMPLE_ACCOUNT_ID])],
) -> Response:
    """Gives an account a new session, with credentials of the same account at the platform. It keeps its id.

    Waits for the outcome unless `Prefer` says otherwise.
    """
    if not is_id(account_id):
        raise no_such_account()
    return await _answer(request, caller, partial(parse_reconnect, account_id=account_id))


async def _answer(request: Request, caller: Caller, parse: Callable[[bytes], ConnectCommand]) -> Response:
    preferences = parse_prefer(request.headers.getlist("prefer"))
    key = parse_idempotency_key(request.headers.getlist(IDEMPOTENCY_KEY))
    command = parse(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    asked = connecting.Asked(caller, command, request_id_of(request), key)
    shim = shim_of(request)
    if wait := preferences.wait_seconds(shim.settings.sync_wait_seconds):
        async with listening(request) as hung_up:
            task = await connecting.connect(shim, asked, wait=wait, hung_up=hung_up)
    else:
        task = await connecting.accept(shim, asked)
    answer_as(request, task.request_id)
    return render.connect_answer(task.row, task.request_id, preferences)
