"""`/connect/{token}`: the hosted form, for people."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api_shim.hosted import visiting

router = APIRouter(prefix="/connect/{token}", include_in_schema=False)


@router.api_route("", methods=["GET", "HEAD"])
async def get_connect_form(request: Request, token: str) -> Response:
    """Shows the form, or what has become of it."""
    return await visiting.show(request, token)


@router.post("")
async def send_connect_form(request: Request, token: str) -> Response:
    """Takes what was typed."""
    return await visiting.submit(request, token)
