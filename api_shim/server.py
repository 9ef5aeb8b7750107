"""Serves the app with uvicorn. ADR 0002 says why uvicorn."""

import asyncio
import math
import socket
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from api_shim.protocol import Protocol
from connections.settings import Settings

# After the grace period everybody is answered that the task goes on; what has not been written by then never will be.
_LAST_ANSWERS_SECONDS = 5.0


def serve(settings: Settings, host: str, port: int) -> None:
    """Blocks until SIGTERM or SIGINT, then until everybody who waits has an answer.

    Raises `SettingsError` when settings or keys are missing or wrong, and `SystemExit` when it cannot listen.
    """
    run(create_app(settings), host, port)


def run(app: FastAPI, host: str, port: int) -> None:
    """Serves an app that `create_app` made."""
    shim: Shim = app.state.shim
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(shim.settings.grace_seconds + _LAST_ANSWERS_SECONDS),
        # Logging is `connections.logs`'; a line per request would cost as much as the request.
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks who the client is, so no header needs to be believed.
        proxy_headers=False,
    )
    server = _Server(config, shim)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(3)


class _Server(uvicorn.Server):
    """Lets load balancers look elsewhere before it refuses connections, and sends waiting callers home in good time,
    instead of cutting them off at the end."""

    def __init__(self, config: uvicorn.Config, shim: Shim) -> None:
        super().__init__(config)
        self._shim = shim
        self._drained_at = math.inf

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end."""
        if not await super().on_tick(counter):
            return False
        now = asyncio.get_running_loop().time()
        if not self._shim.draining.is_set():
            self._shim.draining.set()
            self._drained_at = now + self._shim.settings.drain_seconds
        return now >= self._drained_at or self.force_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._shim.batch_events.release()
        self._shim.release_after(self._shim.settings.grace_seconds)
        await super().shutdown(sockets)
