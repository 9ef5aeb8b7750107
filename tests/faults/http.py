"""One HTTP request over a connection of its own, so that no answer depends on what another request left behind."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by names in lower case; `body` is the JSON object in `content`."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]
    content: bytes


class NoConnection(Exception):
    """Nobody listens there: nothing was sent."""


class Dropped(Exception):
    """The request was sent, and no answer came."""


def ask(
    method: str, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None = None, seconds: float
) -> Answer:
    """Raises `NoConnection` or `Dropped`. `seconds` is how long the server may be silent."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    with closing(connection):
        try:
            connection.connect()
        except OSError as error:
            raise NoConnection from error
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, target, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Dropped from error
    return Answer(
        answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(content), content
    )
