"""How one connection speaks HTTP: uvicorn's way, within limits of how much and how long."""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api_shim.errors import error_answer
from api_shim.request_id import HEADER
from connections.errors import BadRequest
from connections.ids import new_id

# In a row, for heads, trailers and chunk extensions. Not counted is what came together with their beginning.
MAX_OVERHEAD_BYTES = 64 * 1024

# What a client may take to begin a request, then to end its head, and between two pieces of its body. uvicorn limits
# only the first, after an answer, and a blank line ends that.
PATIENCE_SECONDS = 30.0


class Protocol(HttpToolsProtocol):
    """Answers malformed HTTP in the contract's shape and in its turn, and ends what goes on and on and is no body.

    Who takes too long is not answered: the contract has no 408, and nobody may be there to read it.
    """

    # Beyond thirty attributes Python gives every connection a table of names of its own, a kilobyte more.
    __slots__ = ("_advanced_at", "_answering", "_is_in_body", "_overhead", "_timer")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._overhead = 0
        """Bytes since the last that began a request, ended a head or a request, or belonged to a body."""
        self._is_in_body = False
        self._advanced_at = 0.0
        """When the client last did something that counts, by the clock of the loop."""
        self._timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        """The request whose turn it is; `self.cycle` is the one that is read, which may be a later one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._advance()
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MAX_OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request's headers, trailers or chunk extensions are too long.")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._disconnect()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._overhead = 0
        self._advance()

    def on_header(self, name: bytes, value: bytes) -> None:
        """RFC 9110, 6.5.1: a trailer may be ignored. uvicorn would keep it among the headers."""
        if not self._is_in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._overhead = 0
        self._is_in_body = True
        self._advance()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._overhead = 0
        if not self.cycle.response_complete:  # nobody needs what comes after the answer
            self._advance()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._overhead = 0
        self._is_in_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._advance()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """One answer for each request, and never in front of an earlier one's: it would be taken for that."""
        in_progress = self._in_progress()
        is_in_its_body = self._is_in_its_body()
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

    def _advance(self) -> None:
        self._advanced_at = self.loop.time()

    def _watch(self) -> None:
        """One timer per connection, not one per event: a request has many, and few take their time."""
        is_our_turn = self.flow.read_paused or (self._in_progress() is not None and not self._is_in_its_body())
        if is_our_turn:
            self._advance()
        if (left := self._advanced_at + PATIENCE_SECONDS - self.loop.time()) > 0:
            self._timer = self.loop.call_later(left, self._watch)
        else:
            self._disconnect()
            self.transport.close()

    def _is_in_its_body(self) -> bool:
        """Whether the request whose turn it is has not come completely."""
        return self._is_in_body and self._answering is self.cycle

    def _in_progress(self) -> RequestResponseCycle | None:
        is_answered = self._answering is None or self._answering.response_complete
        return None if is_answered else self._answering
