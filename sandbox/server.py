"""A small HTTP/1.1 server on h11, with the control over every byte that faults need.

A handler is a plain function from `Request` to `Response`; delays, drips and dropped connections are data in the
response (`Delivery`) and carried out here.
"""

import asyncio
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http import HTTPStatus
from ssl import SSLContext
from typing import cast

import h11

from sandbox.message import PROMPT, HeaderList, Part, Request, Response

Handler = Callable[[Request], Response]

LOOPBACK = "127.0.0.1"
MAX_BODY_BYTES = 4 * 1024 * 1024

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_COMMON: HeaderList = [(b"X-Powered-By", b"Express"), (b"Access-Control-Allow-Origin", b"*")]


class HttpServer:
    """Serves one handler on a loopback port, over TLS when given a context.

    After `start` the attribute `port` holds the actual port; `close` ends the listener and every open connection.
    """

    def __init__(self, handler: Handler, tls: SSLContext | None = None) -> None:
        self.handler = handler
        self._tls = tls
        self.port = 0
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, or on a free one when it is 0. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), LOOPBACK, port, backlog=4096, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and cut what is still open."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None


class Connection(asyncio.Protocol):
    """One client connection; answers one request at a time, in order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._h11 = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._answering: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer = transport.get_extra_info("peername")[0]
        self._server.connections.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        self._server.connections.discard(self)
        if self._answering is not None:
            self._answering.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """Cut the connection without a farewell."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
            self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def eof_received(self) -> bool:
        # A client that half-closes has nothing more to ask; closing is the default.
        return False

    def _advance(self) -> None:
        """Take what has arrived; answer as soon as a request is complete and none is being answered."""
        while self._answering is None and self._transport is not None:
            event = self._h11.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.Request):
                self._head, self._body, self._size = event, [], 0
                if self._h11.they_are_waiting_for_100_continue:
                    self._write(self._h11.send(h11.InformationalResponse(status_code=100, headers=[])))
            elif isinstance(event, h11.Data):
                self._size += len(event.data)
                if self._size > MAX_BODY_BYTES:
                    self._refuse(413)
                    return
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._answer(self._request())
            else:
                self._close()

    def _request(self) -> Request:
        assert self._head is not None
        headers = dict(self._head.headers)
        path, _, query = self._head.target.decode("latin-1").partition("?")
        # As the PDS does behind a proxy on loopback ("trust proxy"), so that tests can come from many addresses.
        forwarded = headers.get(b"x-forwarded-for")
        address = forwarded.decode("latin-1").rpartition(",")[2].strip() if forwarded else self._peer
        method = self._head.method.decode("ascii")
        return Request(method, path, query, headers, b"".join(self._body), address)

    def _answer(self, request: Request) -> None:
        response = self._server.handler(request)
        if response.delivery is PROMPT and isinstance(response.body, bytes):
            self._write(self._render_head(response) + self._render_body(response.body) + self._render_end())
            self._next_cycle()
            return
        self._answering = asyncio.get_running_loop().create_task(self._deliver(response))
        self._answering.add_done_callback(self._delivered)

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._answering = None
        if task.cancelled():
            return
        task.result()
        if self._transport is not None and not self._transport.is_closing():
            self._next_cycle()
            self._advance()

    async def _deliver(self, response: Response) -> None:
        """Send an answer the way its delivery says."""
        how = response.delivery
        if how.delay:
            await asyncio.sleep(how.delay)
        if how.drop_at is Part.BEFORE:
            self._close()
            return
        head = self._render_head(response)
        if how.drop_at is Part.HEADERS:
            self._write(head[: len(head) // 2])
            self._close()
            return
        await self._emit(head, drip=how.drip_from is Part.HEADERS, response=response)
        if how.drop_at is Part.BODY:
            assert isinstance(response.body, bytes)
            self._write(self._render_body(response.body)[: len(response.body) // 2])
            self._close()
            return
        for piece in _pieces(response):
            await self._emit(self._render_body(piece), drip=how.drip_from is not None, response=response)
        self._write(self._render_end())

    async def _emit(self, data: bytes, *, drip: bool, response: Response) -> None:
        how = response.delivery
        step = how.drip_bytes if drip else max(len(data), 1)
        for start in range(0, len(data), step):
            if drip:
                await asyncio.sleep(how.drip_interval)
            await self._writable.wait()
            self._write(data[start : start + step])

    def _render_head(self, response: Response) -> bytes:
        headers = [*_COMMON, *response.headers, (b"Date", formatdate(usegmt=True).encode())]
        if isinstance(response.body, bytes):
            headers.append((b"Content-Length", str(len(response.body)).encode()))
        reason = _REASONS.get(response.status, b"")
        return self._sent(h11.Response(status_code=response.status, headers=headers, reason=reason))

    def _render_body(self, data: bytes) -> bytes:
        return self._sent(h11.Data(data=data)) if data else b""

    def _render_end(self) -> bytes:
        return self._sent(h11.EndOfMessage())

    def _sent(self, event: h11.Event) -> bytes:
        return self._h11.send(event) or b""

    def _next_cycle(self) -> None:
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        else:
            self._close()

    def _refuse(self, status: int) -> None:
        """Answer a request that HTTP itself forbids, and hang up."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._write(self._render_head(Response(status, headers=[(b"Connection", b"close")])) + self._render_end())
        self._close()

    def _write(self, data: bytes | None) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _pieces(response: Response) -> Iterator[bytes]:
    if isinstance(response.body, bytes):
        yield response.body
    else:
        yield from response.body
