"""What a host receives and what it answers: plain data, so that handlers are functions and waiting is the server's."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

HeaderList = list[tuple[bytes, bytes]]

_UNPARSED: Any = object()


@dataclass(slots=True)
class Request:
    """One HTTP request with its whole body; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    address: str
    _parsed: Any = field(default=_UNPARSED, repr=False)

    def json(self) -> Any:
        """The body as JSON, parsed once; None when it is not JSON."""
        if self._parsed is _UNPARSED:
            try:
                self._parsed = json.loads(self.body)
            except ValueError:
                self._parsed = None
        return self._parsed

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        values = parse_qs(self.query, keep_blank_values=True).get(name)
        return values[0] if values else None


class Part(StrEnum):
    """Where in an answer something happens."""

    BEFORE = "before"
    HEADERS = "headers"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer travels.

    `delay` seconds pass first. From `drip_from` on (headers or body) `drip_bytes` bytes leave every `drip_interval`
    seconds. At `drop_at` the connection is closed: before the first byte, in the middle of the headers or of the body.
    """

    delay: float = 0.0
    drip_from: Part | None = None
    drip_bytes: int = 1
    drip_interval: float = 0.0
    drop_at: Part | None = None


PROMPT = Delivery()


@dataclass(slots=True)
class Response:
    """One HTTP answer. A `body` that is not bytes is streamed piece by piece without a Content-Length."""

    status: int
    body: bytes | Iterable[bytes] = b""
    headers: HeaderList = field(default_factory=list)
    delivery: Delivery = PROMPT


JSON_TYPE = (b"Content-Type", b"application/json; charset=utf-8")


def json_response(status: int, body: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> Response:
    """A JSON answer, compact as Express writes it."""
    encoded = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return Response(status, encoded, [*headers, JSON_TYPE])
