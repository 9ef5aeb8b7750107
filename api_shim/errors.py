"""From an error to its HTTP answer: one table of statuses, one shape, one place that catches bugs.

The shape is the contract's: `{"error": {"code", "normalized_code", "message", …}, "request_id"}`.
"""

import math
from collections.abc import Mapping

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_shim.answers import json_answer
from api_shim.hanging_up import GONE, HungUp
from api_shim.request_id import request_id_of
from api_shim.route import route_of
from connections.contract import ErrorAnswer, ErrorBody, Issue
from connections.errors import (
    BadRequest,
    ConnectorError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)

log = structlog.get_logger()

STATUS = {
    "BAD_REQUEST": 400,
    "UNAUTHORIZED": 401,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "ACCOUNT_ALREADY_CONNECTED": 409,
    "ACCOUNT_MISMATCH": 409,
    "CANCELED": 409,
    "PROFILE_IN_USE": 409,
    "PROFILE_NAME_TAKEN": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "VALIDATION_ERROR": 422,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "RATE_LIMITED": 429,
    "UPSTREAM_RATE_LIMITED": 429,
    "INTERNAL_ERROR": 500,
    "UPSTREAM_ERROR": 500,
    "QUEUE_UNAVAILABLE": 503,
    "SERVICE_UNAVAILABLE": 503,
    "CONNECT_TIMEOUT": 504,
}

# RFC 9110, 11.6.1: an answer with this status must say how to authenticate.
_ALWAYS = {401: {"WWW-Authenticate": "Bearer"}}

# Seconds to ask for where nobody knows better: a quota is filled up slowly, a restart is over soon.
_RETRY_AFTER = {429: 60.0, 503: 5.0, 504: 5.0}

_BY_STATUS: dict[int, type[ConnectorError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
}

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

# pydantic's names for what is wrong with a parameter, in the words of our own issues.
_ISSUE_CODES = {"missing": "required", "greater_than_equal": "out_of_range", "less_than_equal": "out_of_range"}


def status_of(code: str) -> int:
    """The status of an error code; 500 for one that a later version stored and this one does not know."""
    return STATUS.get(code, 500)


def error_answer(
    body: ErrorBody,
    request_id: str,
    *,
    retry_after: float | None = None,
    age: float = 0.0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """`retry_after` is in seconds from the error on, which came about `age` seconds ago.

    Once they are over there is no such header: the outcome is final, and asking again does not change it.
    """
    status = status_of(body.code)
    wait = _RETRY_AFTER.get(status) if retry_after is None else retry_after
    all_headers = {**_ALWAYS.get(status, {}), **(headers or {})}
    if wait is not None and wait > age:
        all_headers["Retry-After"] = str(math.ceil(wait - age))
    return json_answer(ErrorAnswer(error=body, request_id=request_id), status, all_headers)


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ConnectorError, _on_our_own)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HungUp, _on_our_own)


def answer_to(request: Request, error: ConnectorError | HungUp) -> Response:
    """What a request is told that ended with this error."""
    return _describe(request, error) if isinstance(error, ConnectorError) else Response(status_code=GONE)


async def _on_our_own(request: Request, error: Exception) -> Response:
    assert isinstance(error, ConnectorError | HungUp)
    return answer_to(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """What the framework says by itself: no such route, wrong method and the like."""
    assert isinstance(error, HTTPException)
    fallback = BadRequest if error.status_code < 500 else InternalError
    headers = {"Allow": ", ".join(_allowed_methods(request))} if error.status_code == 405 else None
    return _describe(request, _BY_STATUS.get(error.status_code, fallback)(), headers)


async def _on_invalid_parameters(request: Request, error: Exception) -> Response:
    """Query and path parameters; bodies are `connections.intake`'s."""
    assert isinstance(error, RequestValidationError)
    issues = [
        Issue(
            field=(field := ".".join(str(part) for part in problem["loc"][1:])),
            code=_ISSUE_CODES.get(problem["type"], "invalid_type"),
            message=f"{field}: {problem['msg']}.",
        )
        for problem in error.errors()
    ]
    return _describe(request, ValidationFailed(issues[0].message if len(issues) == 1 else None, issues=issues))


def _describe(request: HTTPConnection, error: ConnectorError, headers: Mapping[str, str] | None = None) -> Response:
    answer = error_answer(error.describe(), request_id_of(request), retry_after=error.retry_after, headers=headers)
    if answer.status_code >= 500:
        cause = error.__cause__ and type(error.__cause__).__name__
        log.warning("request_failed", code=error.code, route=route_of(request.scope), cause=cause)
    return answer


def _allowed_methods(request: Request) -> list[str]:
    """All methods of this path, RFC 9110, 10.2.1; the framework names only those of the first route."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


class BugBarrier:
    """ASGI middleware, the one broad handler: a bug becomes a 500 that says nothing, and a log line that says all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def watch(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log.exception("request_crashed", route=route_of(scope), cause=type(error).__name__)
            if is_started:
                raise  # too late for another answer: the server cuts the connection, so nobody takes half for all
            answer = error_answer(InternalError().describe(), request_id_of(HTTPConnection(scope)))
            await answer(scope, receive, send)
