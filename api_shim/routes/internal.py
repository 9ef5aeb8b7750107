"""`POST /internal/accounts/{account_id}/session`: for other services of the operator, never for the internet."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Security
from starlette.responses import Response

from api_shim import opening
from api_shim.answers import json_answer
from api_shim.auth import WorkspaceKey
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.errors import error_answer
from api_shim.hanging_up import listening
from api_shim.request_id import request_id_of
from api_shim.routes import internal_docs
from api_shim.routes.connect_docs import EXAMPLE_ACCOUNT_ID
from connections.contract import AccountSession, AccountSessionAnswer
from connections.ids import new_id
from connections.intake import parse_session_request
from connections.scopes import Scope
from connections.service import Caller
from connections.session_requests import AskedSession, Refused
from connections.vault import EphemeralKey

router = APIRouter(prefix="/internal", tags=["internal"])

_MAX_BODY_BYTES = 4 * 1024

AccountId = Annotated[str, Path(description="`sa_…`, as its connect answered it.", examples=[EXAMPLE_ACCOUNT_ID])]


@router.post(
    "/accounts/{account_id}/session", operation_id="open_account_session", **internal_docs.OPEN_ACCOUNT_SESSION
)
async def open_account_session(
    request: Request,
    caller: Annotated[Caller, Security(WorkspaceKey(), scopes=[Scope.SESSIONS])],
    account_id: AccountId,
) -> Response:
    """Gives out an access token of the account that works for a while, refreshed first where need be.

    The key must have the scope `sessions`. Every call is in the audit log.
    """
    shim, request_id = shim_of(request), request_id_of(request)
    await opening.check_scope(shim, caller, account_id, request_id)
    least_seconds = parse_session_request(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    asked = AskedSession(new_id("sq"), caller, account_id, request_id, least_seconds, EphemeralKey())
    async with listening(request) as hung_up:
        return _answer(await opening.open_session(shim, asked, hung_up=hung_up), request_id)


def _answer(answer: AccountSession | Refused, request_id: str) -> Response:
    match answer:
        case Refused(error=error, retry_after=retry_after):
            return error_answer(error, request_id, retry_after=retry_after)
        case session:
            told = AccountSessionAnswer(data=session, request_id=request_id)
            return json_answer(told, headers={"Cache-Control": "no-store"})
