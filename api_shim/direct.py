"""The connect call, past the framework's own routing.

Callers wait in it by the thousand, and what the framework keeps for each of them while they do (a dozen coroutines, six
stacks of things to close) is a third of what they cost: ADR 22. The framework's route is what documents it.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api_shim.auth import authenticate
from api_shim.errors import BugBarrier, answer_to
from api_shim.hanging_up import HungUp
from api_shim.route import Named
from api_shim.routes.connect import PATH, connect_account
from connections.errors import ConnectorError

_ROUTE = Named(PATH)


class DirectConnect:
    """ASGI middleware: answers connect calls itself and leaves every other request to `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._connect = BugBarrier(_connect)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_connect = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        await (self._connect if is_connect else self._app)(scope, receive, send)


async def _connect(scope: Scope, receive: Receive, send: Send) -> None:
    scope["route"] = _ROUTE
    request = Request(scope, receive)
    try:
        answer = await connect_account(request, await authenticate(request))
    except (ConnectorError, HungUp) as error:
        answer = answer_to(request, error)
    await answer(scope, receive, send)
