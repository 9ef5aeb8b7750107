"""`/v1/connect/sessions`: links to the hosted form."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.documented import EXAMPLE_SESSION_ID
from api_shim.hosted.origin import public_origin
from api_shim.request_id import request_id_of
from api_shim.routes import connect_sessions_docs
from connections.connect_sessions.intake import parse_session
from connections.contract import ConnectSession, ConnectSessionAnswer
from connections.repository.connect_sessions import ConnectSessionRow

router = APIRouter(prefix="/v1/connect/sessions", tags=["sessions"])

# Names, an address and a URL.
_MAX_BODY_BYTES = 64 * 1024


@router.post("", operation_id="create_connect_session", status_code=201, **connect_sessions_docs.CREATE_SESSION)
async def create_session(request: Request, caller: TheCaller) -> Response:
    """Makes a link that you send an end user to, who then connects an account without telling you a password."""
    shim = shim_of(request)
    origin = public_origin(shim.settings, request)
    command = parse_session(await read_json(request, max_bytes=_MAX_BODY_BYTES))
    made = await shim.accepting.run(shim.connect_sessions.create, caller, command, request_id=request_id_of(request))
    answer = _answer(request, made.row, url=f"{origin}/connect/{made.token}", status=201)
    answer.headers["Location"] = f"/v1/connect/sessions/{made.row.id}"
    return answer


@router.get("/{session_id}", operation_id="get_connect_session", **connect_sessions_docs.GET_SESSION)
async def get_session(
    request: Request,
    caller: TheCaller,
    session_id: Annotated[str, Path(description="`cs_…`, as it was made with.", examples=[EXAMPLE_SESSION_ID])],
) -> Response:
    """Tells whether an account came of a link."""
    shim = shim_of(request)
    return _answer(request, await shim.reading.run(shim.connect_sessions.get, caller, session_id))


def _answer(request: Request, row: ConnectSessionRow, *, url: str = "", status: int = 200) -> Response:
    session = ConnectSession(
        id=row.id,
        url=url,
        allow_quickstart_creds=row.allow_quickstart_creds,
        status=row.status,
        expires_at=row.expires_at,
        platform=row.platform,
        external_user_id=row.external_user_id,
        external_user_email=row.external_user_email,
        return_url=row.return_url,
        created_at=row.created_at,
        completed_at=row.completed_at,
        completed_social_account_id=row.account_id,
    )
    return json_answer(ConnectSessionAnswer(data=session, request_id=request_id_of(request)), status)
