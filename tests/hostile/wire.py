"""What a hostile host puts on the wire: an answer is a row of steps, carried out on a real socket."""

import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

CHUNK = 64 * 1024


class Step(Protocol):
    """One thing a host does. `is_over` is set when the test has ended."""

    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        """Raises `OSError` when the other side has hung up."""


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes

    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        connection.sendall(self.data)


@dataclass(frozen=True, slots=True)
class Flood:
    """The same bytes so many times; whoever reads them all runs out of memory or time."""

    data: bytes
    times: int

    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        for _ in range(self.times):
            connection.sendall(self.data)


@dataclass(frozen=True, slots=True)
class Drip:
    """One byte now and then: each read is answered in time, all of them together never."""

    data: bytes
    seconds: float = 0.05

    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        while not is_over.wait(self.seconds):
            for byte in self.data:
                connection.sendall(bytes([byte]))
                if is_over.wait(self.seconds):
                    return


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing at all, until the other side leaves."""

    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        connection.recv(1)


@dataclass(frozen=True, slots=True)
class HangUp:
    def do(self, connection: socket.socket, is_over: threading.Event) -> None:
        raise ConnectionAbortedError


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `refresh_token` is that of the session it opens, if it opens one."""

    steps: tuple[Step, ...]
    refresh_token: str | None = None


def raw(*parts: bytes | Step, refresh_token: str | None = None) -> Reply:
    """These bytes and steps as they are."""
    return Reply(tuple(Send(part) if isinstance(part, bytes) else part for part in parts), refresh_token)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1")


def content(status: int, body: bytes, **headers: str) -> Reply:
    """A well-formed answer; a header's underscores are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(head(status, {"content-length": str(len(body)), **named}) + body)


def as_json(status: int, body: object, **headers: str) -> Reply:
    return content(status, json.dumps(body).encode(), content_type="application/json", **headers)


def redirect(status: int, location: str) -> Reply:
    return content(status, b"", location=location)


def listens(body: Step, *, after: bytes = b'{"did":"') -> tuple[Step, ...]:
    """The steps of an unfinished 200 that goes on with `body`, without a length."""
    return (Send(head(200, {"connection": "close"}) + after), body)
