"""A small internet in memory: names, addresses and hosts that speak real HTTP bytes, and no socket."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpcore

from connections.errors import OutOfBudget
from worker.egress.errors import NoSuchName
from worker.pace import Answered, is_bulk

PUBLIC = "93.184.216.34"
ALSO_PUBLIC = "2606:2800:220:1::1"


@dataclass(frozen=True)
class Asked:
    """One request as a host sees it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer(
    status: int = 200, body: object = None, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> bytes:
    """An HTTP/1.1 answer: `body` as JSON, or `content` as it is."""
    payload = content if content is not None else json.dumps(body).encode()
    lines = {"content-length": str(len(payload)), "content-type": "application/json", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + payload


def refusal(status: int, error: str, headers: Mapping[str, str] | None = None) -> bytes:
    return answer(status, {"error": error, "message": "words of the platform"}, headers)


Handler = Callable[[Asked], bytes]


class FakeResolver:
    """Names as a table. A name mapped to an exception raises it; an unknown one does not exist.

    While `may_tell` is cleared, TXT records are kept back."""

    def __init__(self) -> None:
        self.hosts: dict[str, Sequence[str] | Exception] = {}
        self.records: dict[str, Sequence[bytes] | Exception] = {}
        self.asked: list[str] = []
        self.may_tell = threading.Event()
        self.may_tell.set()

    def addresses(self, host: str, *, deadline: float) -> tuple[str, ...]:
        self.asked.append(host)
        found = self.hosts.get(host, NoSuchName(host))
        if isinstance(found, Exception):
            raise found
        return tuple(found)

    def texts(self, name: str, *, deadline: float) -> tuple[bytes, ...]:
        self.asked.append(name)
        self.may_tell.wait(deadline - time.monotonic())
        found = self.records.get(name, ())
        if isinstance(found, Exception):
            raise found
        return tuple(found)


@dataclass
class FakeNetwork(httpcore.NetworkBackend):
    """Connects to whatever host the request names, and remembers which addresses were dialled."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    unreachable: set[str] = field(default_factory=set)
    refuses_tls: bool = False
    closed: int = 0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self.dialled.append((host, port))
        if host in self.unreachable:
            raise httpcore.ConnectError("refused")
        return FakeStream(self)

    def handle(self, asked: Asked) -> bytes:
        self.requests.append(asked)
        host = asked.headers["host"]
        path = asked.url.partition("?")[0]
        for key in (f"{asked.method} {host}{path}", f"{asked.method} {host}", host):
            if key in self.handlers:
                return self.handlers[key](asked)
        return answer(404, content=b"<html>nothing here</html>")

    def calls(self, method: str) -> list[Asked]:
        return [asked for asked in self.requests if method in asked.url]


class FakeStream(httpcore.NetworkStream):
    """Answers each complete request; reads in pieces of 1,000 bytes at most."""

    def __init__(self, network: FakeNetwork) -> None:
        self._network = network
        self._incoming = b""
        self._outgoing = b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._incoming += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._incoming:
            self._outgoing = self._network.handle(_parsed(self._incoming))
            self._incoming = b""
        piece, self._outgoing = self._outgoing[:1000], self._outgoing[1000:]
        return piece

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if self._network.refuses_tls:
            raise httpcore.ConnectError("certificate verify failed")
        self._network.server_names.append(server_hostname)
        return self

    def close(self) -> None:
        self._network.closed += 1

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None


def _parsed(data: bytes) -> Asked:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, url, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Asked(method, url, headers, body)


@dataclass
class FakePace:
    """Lets everything begin but what is in `used_up`, and remembers the turns: hosts, or accounts at them."""

    used_up: set[str] = field(default_factory=set)
    looks: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, bool]] = field(default_factory=list)
    answers: list[tuple[str, int]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    ahead_of: list[tuple[str, str]] = field(default_factory=list)

    @contextmanager
    def request(self, host: str, call: str, *, deadline: float, login_of: str | None = None) -> Iterator[Answered]:
        if login_of in self.used_up:
            raise OutOfBudget(retry_after=1)
        if host in self.used_up:
            raise OutOfBudget(host=host, retry_after=1)
        self.requests.append((host, call, is_bulk()))
        if login_of is not None:
            self.logins.append((host, login_of))
        yield lambda status, headers: self.answers.append((host, status))

    @contextmanager
    def ahead(self, host: str, logins_of: Collection[str]) -> Iterator[None]:
        self.ahead_of += [(host, account) for account in logins_of]
        yield

    def wants_look(self, host: str) -> bool:
        return host in self.looks
