"""`DELETE /v1/accounts/{account_id}`."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api_shim.account_path import ACCOUNT
from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.bootstrap import Shim, shim_of
from api_shim.request_id import request_id_of
from api_shim.routes import disconnect_docs
from connections import tracing
from connections.contract import Account, DisconnectedAnswer
from connections.errors import QueueUnavailable
from connections.messages import Queue
from connections.service import Caller

router = APIRouter(tags=["accounts"])


@router.delete(ACCOUNT, operation_id="disconnect_account", **disconnect_docs.DISCONNECT)
async def disconnect_account(
    request: Request,
    caller: TheCaller,
    account_id: Annotated[
        str, Path(description="`sa_…`, as the connect told it.", examples=[disconnect_docs.EXAMPLE_ACCOUNT_ID])
    ],
) -> Response:
    """Takes an account out of its workspace: its tokens are erased here and now, and its session is ended at its
    server as soon as that answers."""
    shim = shim_of(request)
    account = await shim.accepting.run(_disconnect, shim, caller, account_id, request_id_of(request))
    return json_answer(DisconnectedAnswer(data=account, request_id=request_id_of(request)))


def _disconnect(shim: Shim, caller: Caller, account_id: str, request_id: str) -> Account:
    disconnected = shim.disconnecting.disconnect(caller, account_id, request_id=request_id)
    if disconnected.is_new:
        with suppress(QueueUnavailable), tracing.publishing(Queue.UPKEEP):
            shim.queue.ask_to_end_sessions()
    return disconnected.account
