"""One connection, byte by byte, with an app that answers on demand. No socket is opened."""

import asyncio
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from api_shim.protocol import MAX_OVERHEAD_BYTES, Protocol
from tests.unit.api_shim.doubles import until

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
OK: list[dict[str, Any]] = [
    {"type": "http.response.start", "status": 204, "headers": []},
    {"type": "http.response.body"},
]


class Wire(asyncio.Transport):
    """What the other end sees."""

    def __init__(self) -> None:
        super().__init__()
        self.received = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.received += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Connection:
    """Reads each request to its end, and answers it once `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.headers: list[dict[bytes, bytes]] = []
        self.wire = Wire()
        config = uvicorn.Config(self._app, interface="asgi3", ws="none", log_config=None, proxy_headers=False)
        self._protocol = Protocol(config, ServerState(), {})
        self._protocol.connection_made(self.wire)

    def send(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def close(self) -> None:
        self._protocol.connection_lost(None)

    async def answers(self, count: int = 1) -> None:
        await until(lambda: self.wire.received.count(b"HTTP/1.1 204") == count)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        self.headers.append(dict(scope["headers"]))
        await self.may_answer.wait()
        for event in OK:
            await send(event)


@pytest.fixture
async def connection() -> Connection:
    return Connection()


async def test_trailers_are_no_headers(connection: Connection) -> None:
    connection.send(CHUNKED + b"1\r\nx\r\n0\r\nHost: y\r\nX-Late: 1\r\n\r\n")
    await connection.answers()

    assert connection.headers == [{b"host": b"x", b"transfer-encoding": b"chunked"}]


ENDLESS = {
    "heads": (HEAD, b"a:b\r\n"),
    "blank lines": (b"", b"\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n"),
    "a trailer": (CHUNKED + b"0\r\nX: ", b"x"),
    "a chunk extension": (CHUNKED + b"5;x=", b"x"),
}


@pytest.mark.parametrize(("beginning", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_what_goes_on_and_on_ends_the_connection(connection: Connection, beginning: bytes, more: bytes) -> None:
    connection.send(beginning)
    piece = more * (1024 // len(more))
    sent = 0
    while not connection.wire.is_closed and sent <= 2 * MAX_OVERHEAD_BYTES:
        connection.send(piece)
        sent += len(piece)

    assert MAX_OVERHEAD_BYTES < sent <= MAX_OVERHEAD_BYTES + len(piece)
    assert connection.wire.received.startswith(b"HTTP/1.1 400 ")


async def test_a_long_body_is_not_what_goes_on_and_on(connection: Connection) -> None:
    connection.send(CHUNKED)
    for _ in range(4 * MAX_OVERHEAD_BYTES // 1024):
        connection.send(b"400;x=y\r\n" + b"x" * 1024 + b"\r\n")
    connection.send(b"0\r\nX: y\r\n\r\n" + HEAD + b"\r\n")
    await connection.answers(2)

    assert not connection.wire.is_closed
