"""`/v1/workspace`: the one that the key belongs to."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.auth import TheCaller
from api_shim.body import read_json
from api_shim.bootstrap import shim_of
from api_shim.request_id import request_id_of
from api_shim.routes import workspace_docs
from connections.contract import WorkspaceAnswer
from connections.owners.bodies import parse_workspace_change

router = APIRouter(prefix="/v1/workspace", tags=["workspace"])

# Fifty of the longest URLs, and some room.
_MAX_BODY_BYTES = 128 * 1024


@router.get("", operation_id="get_workspace", **workspace_docs.GET_WORKSPACE)
async def get_workspace(request: Request, caller: TheCaller) -> Response:
    """Tells of the workspace of the key."""
    shim = shim_of(request)
    workspace = await shim.reading.run(shim.workspaces.get, caller)
    return json_answer(WorkspaceAnswer(data=workspace, request_id=request_id_of(request)))


@router.patch("", operation_id="update_workspace", **workspace_docs.UPDATE_WORKSPACE)
async def update_workspace(request: Request, caller: TheCaller) -> Response:
    """Changes what is sent and leaves the rest. `return_urls` is replaced as a whole."""
    shim, request_id = shim_of(request), request_id_of(request)
    body = await read_json(request, max_bytes=_MAX_BODY_BYTES)
    fields = parse_workspace_change(body, allows_loopback=not shim.settings.is_production)
    workspace = await shim.accepting.run(shim.workspaces.change, caller, fields, request_id=request_id)
    return json_answer(WorkspaceAnswer(data=workspace, request_id=request_id))
