"""One connection, byte by byte, with an app that answers on demand. No socket is opened."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from api_shim.protocol import MAX_OVERHEAD_BYTES, PATIENCE_SECONDS, Protocol
from tests.doubles import until

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
EMPTY = HEAD + b"\r\n"
LENGTH = HEAD + b"Content-Length: 5\r\n\r\n"
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
        self.is_read = True

    def write(self, data: Any) -> None:
        self.received += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


class Connection:
    """Reads each request to its end, and answers it, each when it may."""

    def __init__(self) -> None:
        self.reads_bodies = True
        self.may_read, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_read.set()
        self.may_answer.set()
        self.headers: list[dict[bytes, bytes]] = []
        self.wire = Wire()
        config = uvicorn.Config(self._app, interface="asgi3", ws="none", log_config=None, proxy_headers=False)
        self._protocol = Protocol(config, ServerState(), {})
        self._protocol.connection_made(self.wire)

    def send(self, data: bytes) -> None:
        assert not self.wire.is_closed
        self._protocol.data_received(data)

    def close(self) -> None:
        self._protocol.connection_lost(None)

    async def answers(self, count: int = 1) -> None:
        await until(lambda: self.wire.received.count(b"HTTP/1.1 204") == count)

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.may_read.wait()
        while self.reads_bodies and (message := await receive()).get("more_body", True):
            if message["type"] == "http.disconnect":
                return
        self.headers.append(dict(scope["headers"]))
        await self.may_answer.wait()
        for event in OK:
            await send(event)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    connection = Connection()
    yield connection
    connection.close()


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
    connection.send(b"0\r\nX: y\r\n\r\n" + EMPTY)
    await connection.answers(2)

    assert not connection.wire.is_closed


class Clock:
    """The loop's, which can be put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._real_time = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: self._real_time() + self._ahead)

    async def forward(self, seconds: float) -> None:
        """What is due by then has been done."""
        self._ahead += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


LITTLE = PATIENCE_SECONDS * 0.4
MOST = PATIENCE_SECONDS * 0.8

# What has come when the client falls silent.
UNFINISHED = {
    "nothing": b"",
    "a blank line": b"\r\n",
    "half a head": HEAD,
    "half a body": LENGTH + b"x",
    "half a chunk": CHUNKED + b"5\r\nx",
    "half a trailer": CHUNKED + b"0\r\nX",
}


@pytest.mark.parametrize("beginning", UNFINISHED.values(), ids=UNFINISHED)
async def test_who_falls_silent_is_not_waited_for(connection: Connection, clock: Clock, beginning: bytes) -> None:
    connection.send(beginning)
    await clock.forward(MOST)
    assert not connection.wire.is_closed
    await clock.forward(LITTLE)

    assert connection.wire.is_closed
    assert connection.wire.received == b""


async def test_a_blank_line_does_not_keep_a_connection_alive(connection: Connection, clock: Clock) -> None:
    connection.may_answer.clear()
    connection.send(EMPTY)
    await clock.forward(MOST)
    connection.may_answer.set()
    await connection.answers()
    connection.send(b"\r\n")
    await clock.forward(MOST)
    assert not connection.wire.is_closed
    await clock.forward(LITTLE)

    assert connection.wire.is_closed


DRIPS = {
    "a head": (HEAD, b"X: y\r\n"),
    "a trailer": (CHUNKED + b"0\r\n", b"X: y\r\n"),
    "a chunk extension": (CHUNKED + b"5;x=", b"x"),
}


@pytest.mark.parametrize(("beginning", "drop"), DRIPS.values(), ids=DRIPS)
async def test_what_drips_gets_no_more_time(
    connection: Connection, clock: Clock, beginning: bytes, drop: bytes
) -> None:
    connection.send(beginning)
    for _ in range(3):
        connection.send(drop)
        await clock.forward(LITTLE)

    assert connection.wire.is_closed


async def test_each_part_of_a_request_has_its_time(connection: Connection, clock: Clock) -> None:
    for part in (HEAD, b"Content-Length: 1\r\n\r\n", b"x"):
        await clock.forward(MOST)
        connection.send(part)
    await connection.answers()


async def test_a_slow_body_is_waited_for(connection: Connection, clock: Clock) -> None:
    connection.send(LENGTH)
    for _ in range(5):
        await clock.forward(MOST)
        connection.send(b"x")
    await connection.answers()


async def test_a_slow_body_is_not_waited_for_after_its_answer(connection: Connection, clock: Clock) -> None:
    connection.reads_bodies = False
    connection.send(LENGTH)
    await connection.answers()
    for _ in range(3):
        connection.send(b"x")
        await clock.forward(LITTLE)

    assert connection.wire.is_closed


async def test_who_waits_for_an_answer_has_time(connection: Connection, clock: Clock) -> None:
    connection.may_answer.clear()
    connection.send(EMPTY + HEAD)
    for _ in range(5):
        await clock.forward(MOST)
    connection.may_answer.set()
    await connection.answers()
    connection.send(b"\r\n")
    await connection.answers(2)


async def test_who_is_not_read_has_time(connection: Connection, clock: Clock) -> None:
    connection.may_read.clear()
    connection.send(CHUNKED + b"%x\r\n" % (HIGH_WATER_LIMIT + 1) + b"x" * (HIGH_WATER_LIMIT + 1))
    for _ in range(5):
        await clock.forward(MOST)
    connection.may_read.set()
    await until(lambda: connection.wire.is_read)
    connection.send(b"\r\n0\r\n\r\n")
    await connection.answers()


async def test_a_connection_that_is_gone_is_not_watched(connection: Connection, clock: Clock) -> None:
    connection.close()
    connection.wire.is_closed = False
    await clock.forward(2 * PATIENCE_SECONDS)

    assert not connection.wire.is_closed
