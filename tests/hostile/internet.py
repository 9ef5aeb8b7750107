"""An internet on loopback: hosts with real sockets, and a connector that notes each dial before it opens one.

TLS is left out between connector and host, so that hosts speak any bytes they like; what it would have encrypted is
noted under the server name that was asked for. `tests/integration/bluesky/test_tls.py` has the handshake.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore

from tests.hostile.case import Turns, in_turn
from tests.hostile.honest import OWNERS
from tests.hostile.wire import Reply, content

HTTPS = 443
LONGEST_REQUEST = 64 * 1024
NOTHING_HERE = content(404, b"<html>nothing here</html>")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a host read it: `POST host/path`, without the query."""

    what: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Sent:
    """What left on one connection, and for whom; `server_name` is None until TLS is asked for."""

    dialled: str
    server_name: str | None = None
    data: bytearray = field(default_factory=bytearray, repr=False)


class Internet(httpcore.SyncBackend):
    """The connector under the guard, and the hosts behind it: one listener on loopback, told apart by `Host`."""

    def __init__(self, replies: Mapping[str, Reply | Turns[Reply]]) -> None:
        self.dialled: list[str] = []
        self.sent: list[Sent] = []
        self.asked: list[Asked] = []
        self.opened: list[str] = []
        self._replies: dict[str, Iterator[Reply]] = {what: in_turn(reply) for what, reply in replies.items()}
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="host")]
        self._threads[0].start()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        owner = OWNERS.get(host, host)
        self.dialled.append(owner if port == HTTPS else f"{owner}:{port}")
        if host not in OWNERS:
            raise httpcore.ConnectError("noted, and no socket opened")
        sent = Sent(self.dialled[-1])
        self.sent.append(sent)
        inner = super().connect_tcp("127.0.0.1", self._port, timeout, local_address, socket_options)
        return _Plain(inner, sent)

    def close(self) -> None:
        self._is_over.set()
        with self._lock:
            for open_socket in (self._listener, *self._connections):
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        while self._threads:
            self._threads.pop().join()
        for open_socket in (self._listener, *self._connections):
            open_socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), name="host")
                with self._lock:
                    self._connections.append(connection)
                    self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as incoming:
            while (asked := _read(incoming)) is not None:
                self.asked.append(asked)
                reply = next(self._replies[asked.what]) if asked.what in self._replies else NOTHING_HERE
                for step in reply.steps:
                    step.do(connection, self._is_over)
                if reply.refresh_token:
                    self.opened.append(reply.refresh_token)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


class _Plain(httpcore.NetworkStream):
    """The stream to a host: notes what is written and leaves the handshake out."""

    def __init__(self, inner: httpcore.NetworkStream, sent: Sent) -> None:
        self._inner = inner
        self._sent = sent

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._sent.data += buffer
        self._inner.write(buffer, timeout)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        assert not self._sent.data, "bytes before TLS"
        self._sent.server_name = server_hostname
        return self

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _read(incoming: Any) -> Asked | None:
    """The next request, None when there is none."""
    first = incoming.readline(LONGEST_REQUEST).decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := incoming.readline(LONGEST_REQUEST).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = incoming.read(int(headers.get("content-length", "0")))
    host = headers.get("host", "").partition(":")[0]
    return Asked(f"{first[0]} {host}{first[1].partition('?')[0]}", headers, body)
