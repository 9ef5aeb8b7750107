"""One HTTP/1.1 exchange: a request written in one piece, and its answer as llhttp reads it. ADR 23.

llhttp is Node's parser (httptools), strict by default: what could be read in two ways is no answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import httpcore
import httptools

from worker.egress.errors import BadAnswer, ConnectionLost, TooLarge

# The head of an answer. Trailers are read over and count as body and framing.
MAX_HEAD = 64 * 1024

# A chunk may be a byte long, and costs more to read than it carries: the longest body in them, half a second of CPU.
MAX_PIECES = 4096

# Most answers fit. A read sets aside as much before it knows what comes, and the C library keeps what it was too much:
# with 64 KiB that was 15 MB of a worker with 64 threads.
_READ_BYTES = 8 * 1024
_NOT_COMPRESSED = frozenset({"", "identity"})


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, complete. Its headers and body can hold tokens, so neither is printed.

    `headers` have lower-case names; of a name that comes more than once all values, as RFC 9110 (5.2) combines them.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Exchanged(NamedTuple):
    """`is_reusable` when the connection is as good as new."""

    response: Response
    is_reusable: bool


def exchange(stream: httpcore.NetworkStream, request: bytes, *, max_body: int) -> Exchanged:
    """Raises `BadAnswer`, `TooLarge`, `ConnectionLost`, and what the stream raises."""
    stream.write(request)
    reading = _Reading()
    parser = reading.parser
    received = 0
    while not reading.is_complete:
        data = stream.read(_READ_BYTES)
        received += len(data)
        if not data:
            reading.end()
            break
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            if not reading.is_complete:
                raise BadAnswer(f"{type(exc).__name__} in the answer") from None  # its text may quote the answer
            reading.is_reusable = False
        reading.check(received, max_body)
    return Exchanged(reading.response(), reading.is_reusable)


class _Reading:
    """What the parser calls while it reads, and what that comes to. Interim answers are read over."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.is_complete = self.is_reusable = False
        self._has_head = False
        self._status = 0
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        if self.is_complete:  # more than was asked for
            self.is_reusable = False

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        if self._has_head:
            return
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").rstrip(" \t")
        self._headers[name] = f"{self._headers[name]}, {value}" if name in self._headers else value

    def on_headers_complete(self) -> None:
        if not self.is_complete:
            self._status = self.parser.get_status_code()
            self._has_head = True

    def on_body(self, piece: bytes) -> None:
        if not self.is_complete:
            self._pieces.append(piece)
            self._body_bytes += len(piece)

    def on_message_complete(self) -> None:
        if self.is_complete:
            return
        if self._status < 200 and self._status != 101:
            self._headers, self._has_head = {}, False
            return
        self.is_complete = True
        self.is_reusable = self.parser.should_keep_alive()

    def check(self, received: int, max_body: int) -> None:
        """Raises `TooLarge`, and `BadAnswer` for a body that is not as it was asked for."""
        if not self._has_head:
            if received > MAX_HEAD:
                raise TooLarge("the head of the answer is longer than allowed")
            return
        # Unpacking what comes packed all the same is how 300 kB become 300 MB.
        if self._headers.get("content-encoding", "").strip().lower() not in _NOT_COMPRESSED:
            raise BadAnswer("the answer is compressed although identity was asked for")
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise BadAnswer("the answer has a transfer encoding that was not asked for")
        if self._body_bytes > max_body or len(self._pieces) > MAX_PIECES:
            raise TooLarge("the body is longer than allowed, or in too many pieces")

    def end(self) -> None:
        """The other side has closed: the end of an answer that says nothing of its length (RFC 9112, 6.3)."""
        if not self._has_head:
            raise ConnectionLost("closed without an answer")
        if "content-length" in self._headers or "transfer-encoding" in self._headers:
            raise ConnectionLost("closed in the middle of the answer")

    def response(self) -> Response:
        return Response(self._status, self._headers, b"".join(self._pieces))
