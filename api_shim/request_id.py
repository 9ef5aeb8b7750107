"""Gives every request an id, and every answer the header that tells it."""

import re

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connections.ids import new_id
from connections.redaction import redact_text

HEADER = "X-Request-Id"

WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestIds:
    """ASGI middleware: keeps a well-formed id the caller sent, replaces anything else, and binds it to the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = choose(Headers(scope=scope).getlist(HEADER))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = scope["state"]["request_id"].encode()
                message["headers"] = [*message.get("headers", ()), (HEADER.lower().encode(), told)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive, send_with_id)


def choose(sent: list[str]) -> str:
    """The id of a request that carried these values of the header.

    It is stored, logged and answered, so one that has the shape of a key or an app password is not kept.
    """
    match sent:
        case [only] if WELL_FORMED.fullmatch(only) and redact_text(only) == only:
            return only
        case _:
            return new_id("req")


def request_id_of(connection: HTTPConnection) -> str:
    request_id: str = connection.state.request_id
    return request_id


def answer_as(connection: HTTPConnection, request_id: str) -> None:
    """Answers under the id of an earlier request, which this one repeats. The log keeps its own."""
    connection.state.request_id = request_id
