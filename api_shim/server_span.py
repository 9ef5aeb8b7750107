"""The span of a request, from its first byte to the last one of its answer."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_shim.route import METHODS, NO_ROUTE, route_of
from connections import tracing
from connections.tracing import Kind

# Asked every few seconds by machines, who look at nothing but the status.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

# Of a `traceparent` in characters. Today's have 55, later versions may have more.
_LONGEST = 256


class ServerSpans:
    """ASGI middleware: a span for each request, by the template of its route, below the caller's own if there is one.

    See W3C Trace Context, and OpenTelemetry's conventions for HTTP servers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "HTTP"
        attributes = {
            "http.request.method": scope["method"] if scope["method"] in METHODS else "_OTHER",
            "url.scheme": scope["scheme"],
            "connector.request.id": scope["state"]["request_id"],
        }
        with tracing.span(method, Kind.SERVER, attributes, parent=_traceparent(scope)) as span:

            async def tell(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.note({"http.response.status_code": message["status"]})
                    if message["status"] >= 500:
                        span.fail(str(message["status"]))
                    if (route := route_of(scope)) != NO_ROUTE:
                        span.rename(f"{method} {route}")
                        span.note({"http.route": route})
                await send(message)

            await self._app(scope, receive, tell)


def _traceparent(scope: Scope) -> str | None:
    """More than one says nothing. Whether it is well-formed is looked at by who reads it."""
    match Headers(scope=scope).getlist("traceparent"):
        case [only] if len(only) <= _LONGEST:
            return only
        case _:
            return None
