"""Callers of an HTTP API, lean enough not to be what is measured: HTTP/1.1 over asyncio's streams, kept alive."""

import asyncio
import json
import os
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from bench.compare.caller import WAIT_SECONDS, AsyncCaller
from bench.compare.job import Login

# Servers close what has been idle for five seconds.
_IDLE_SECONDS = 2.0


@dataclass(slots=True)
class Connection:
    """`used` is the `time.monotonic()` of its last answer."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used: float = 0.0


class HttpCaller(AsyncCaller[None]):
    """Posts a JSON body to `path` of the API on loopback at `BENCH_PORT`. An answer other than 2xx raises."""

    path: str

    def __init__(self) -> None:
        self._port = int(os.environ["BENCH_PORT"])
        self._idle: list[Connection] = []
        super().__init__()

    @abstractmethod
    def body(self, login: Login) -> dict[str, Any]: ...

    def headers(self) -> str:
        """Further ones, each with its line end."""
        return ""

    async def send(self, login: Login) -> None:
        connection = await self._connection()
        async with asyncio.timeout(WAIT_SECONDS):
            await self._post(connection, json.dumps(self.body(login)).encode())
        connection.used = time.monotonic()
        self._idle.append(connection)

    async def wait(self, ticket: None) -> None:
        """The answer was the result."""

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if time.monotonic() - connection.used < _IDLE_SECONDS:
                return connection
            connection.writer.close()
        return Connection(*await asyncio.open_connection("127.0.0.1", self._port))

    async def _post(self, connection: Connection, body: bytes) -> None:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"{self.headers()}Content-Length: {len(body)}\r\n\r\n"
        )
        connection.writer.write(head.encode() + body)
        answer = await connection.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        content = await connection.reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{answer!r} {content!r}")
