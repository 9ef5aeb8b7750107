"""Callers of an HTTP API, lean enough not to be what is measured: HTTP/1.1 over asyncio's streams, kept alive."""

import asyncio
import json
import os
from abc import abstractmethod
from typing import Any

from bench.compare.caller import WAIT_SECONDS, AsyncCaller
from bench.compare.job import Login

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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
        connection = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        async with asyncio.timeout(WAIT_SECONDS):
            await self._post(*connection, json.dumps(self.body(login)).encode())
        self._idle.append(connection)

    async def wait(self, ticket: None) -> None:
        """The answer was the result."""

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nContent-Type: application/json\r\n"
            f"{self.headers()}Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r", 1)[0])
        content = await reader.readexactly(length)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise RuntimeError(f"{answer!r} {content!r}")
