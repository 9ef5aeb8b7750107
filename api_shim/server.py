"""Serves the app with uvicorn. ADR 0002 says why uvicorn."""

import math
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from api_shim.errors import error_answer
from api_shim.request_id import HEADER
from api_shim.waiting import Waiting
from connections.errors import BadRequest
from connections.ids import new_id
from connections.settings import Settings

# After the grace period everybody is answered that the task goes on; what has not been written by then never will be.
_LAST_ANSWERS_SECONDS = 5.0

_MAX_HEAD_BYTES = 64 * 1024


def serve(settings: Settings, host: str, port: int) -> None:
    """Blocks until SIGTERM or SIGINT, then until everybody who waits has an answer.

    Raises `SettingsError` when settings or keys are missing or wrong, and `SystemExit` when it cannot listen.
    """
    run(create_app(settings), host, port)


def run(app: FastAPI, host: str, port: int) -> None:
    """Serves an app that `create_app` made."""
    shim: Shim = app.state.shim
    grace = shim.settings.grace_seconds
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=math.ceil(grace + _LAST_ANSWERS_SECONDS),
        # Logging is `connections.logs`'; a line per request would cost as much as the request.
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks who the client is, so no header needs to be believed.
        proxy_headers=False,
    )
    server = _Server(config, shim.waiting, grace)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise SystemExit(3)


class _Server(uvicorn.Server):
    """Sends waiting callers home in good time, instead of cutting them off at the end."""

    def __init__(self, config: uvicorn.Config, waiting: Waiting, grace_seconds: float) -> None:
        super().__init__(config)
        self._waiting = waiting
        self._grace_seconds = grace_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._waiting.release_after(self._grace_seconds)
        await super().shutdown(sockets)


class _Protocol(HttpToolsProtocol):
    """Answers malformed HTTP in the contract's shape and in its turn, and ends a request head that never ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes: int | None = 0
        """How much of an unfinished head has come, not counting what came with its beginning; None outside a head."""
        self._is_in_body = False
        self._answering: RequestResponseCycle | None = None
        """The request whose turn it is; `self.cycle` is the one that is read, which may be a later one."""

    def data_received(self, data: bytes) -> None:
        head = self.headers
        super().data_received(data)
        if self._head_bytes is not None and self.headers is head:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The request's headers are too long.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnect()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._head_bytes = None
        self._is_in_body = True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_body = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """One answer for each request, and never in front of an earlier one's: it would be taken for that."""
        in_progress = self._in_progress()
        is_in_its_body = self._is_in_body and self._answering is self.cycle
        if in_progress is not None and not is_in_its_body:
            in_progress.keep_alive = False
            self.pipeline.clear()
            self.flow.pause_reading()
            return
        if in_progress is not None or not is_in_its_body:
            self._write_400(msg)
        self._disconnect()
        self.transport.close()

    def _write_400(self, msg: str) -> None:
        request_id = new_id("req")
        answer = error_answer(
            BadRequest(msg).describe(), request_id, headers={HEADER: request_id, "Connection": "close"}
        )
        status = HTTPStatus(answer.status_code)
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, status.phrase.encode(), head, bytes(answer.body)))

    def _disconnect(self) -> None:
        """The transport takes no more from now on. uvicorn tells that only to the last request that was read."""
        if (in_progress := self._in_progress()) is not None:
            in_progress.disconnected = True
            in_progress.message_event.set()

    def _in_progress(self) -> RequestResponseCycle | None:
        is_answered = self._answering is None or self._answering.response_complete
        return None if is_answered else self._answering
