"""The ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp

from api_shim import routes
from api_shim.bootstrap import Shim, build_shim
from api_shim.broker import Broker
from api_shim.direct import DirectConnect
from api_shim.docs import add_docs
from api_shim.errors import BugBarrier, add_error_handlers
from api_shim.introduction import API_VERSION, SUMMARY, TITLE
from api_shim.metrics import RequestMetrics
from api_shim.queue import TaskQueue
from api_shim.request_id import RequestIds
from api_shim.server_span import ServerSpans
from connections.service import ConnectService
from connections.settings import Settings


def create_app(
    settings: Settings,
    *,
    service: ConnectService | None = None,
    queue: TaskQueue | None = None,
    broker: Broker | None = None,
) -> FastAPI:
    """The keyword arguments replace real parts. Raises `SettingsError` when settings or keys are missing or wrong."""
    shim = build_shim(settings, service=service, queue=queue, broker=broker)
    app = _Application(
        title=TITLE,
        summary=SUMMARY,
        version=API_VERSION,
        lifespan=_lifespan,
        # Our own: rendered once, and with assets that need no internet.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirected POST loses its body in many clients; the address is right or it is not.
        redirect_slashes=False,
        # FastAPI would export exceptions with their texts and stack traces wherever OpenTelemetry is configured.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.shim = shim
    add_error_handlers(app)
    app.add_middleware(BugBarrier)
    for router in routes.ALL:
        app.include_router(router)
    add_docs(app)
    return app


class _Application(FastAPI):
    """Every line of a request has its id, every answer is counted, and connect calls go no further than need be."""

    def build_middleware_stack(self) -> ASGIApp:
        shim: Shim = self.state.shim
        app = RequestMetrics(DirectConnect(super().build_middleware_stack()), shim.metrics)
        return RequestIds(ServerSpans(app) if shim.settings.traces else app)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    shim: Shim = app.state.shim
    async with shim.running():
        yield
