"""Ways for a Postgres to be away: frozen, cut off without a word, gone."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Protocol

import psutil
import psycopg
from sqlalchemy.engine import make_url

from tests.servers import wait_until


class Outage(Protocol):
    """A database that tests take away and give back."""

    url: str

    def begin(self) -> None: ...

    def end(self) -> None: ...


class Frozen:
    """Every process of the server stands still; connections to it are still taken up by the operating system."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
        assert row is not None
        self._server = psutil.Process(int(row[0].splitlines()[0]))

    def begin(self) -> None:
        self._server.suspend()  # first, so that it starts no further process
        for process in self._server.children():
            process.suspend()

    def end(self) -> None:
        for process in [*self._server.children(), self._server]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


class Silent:
    """A relay on the way to the server that keeps what it is given to itself."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._server = f"{parsed.query['host']}/.s.PGSQL.{parsed.port or 5432}"
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = parsed.set(host="127.0.0.1", port=self.port, query={}).render_as_string(hide_password=False)

    def begin(self) -> None:
        self._passes.clear()

    def end(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self.end()
        self._drop()

    def _listen(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _drop(self) -> None:
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._sockets += client, server
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                target.sendall(data)
            self._passes.wait()
            target.shutdown(socket.SHUT_RDWR)


class Gone(Silent):
    """Connections are reset, new ones refused."""

    def begin(self) -> None:
        self._drop()

    def end(self) -> None:
        if self._listener.fileno() < 0:
            self._listen(self.port)


@contextlib.contextmanager
def outage(kind: str, url: str) -> Iterator[Outage]:
    """`kind` is frozen, silent or gone. The outage is over at the end in any case."""
    if kind == "frozen":
        frozen = Frozen(url)
        try:
            yield frozen
        finally:
            frozen.end()
    else:
        relay = {"silent": Silent, "gone": Gone}[kind](url)
        try:
            yield relay
        finally:
            relay.close()


def is_back(url: str) -> None:
    """Waits until the server behind the URL answers again."""

    def answers() -> bool:
        with (
            contextlib.suppress(psycopg.OperationalError),
            psycopg.connect(url.replace("+psycopg", ""), connect_timeout=2),
        ):
            return True
        return False

    wait_until(answers, what="Postgres to be back")
