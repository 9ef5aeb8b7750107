"""The API as a process of its own: how it speaks HTTP, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
import unipost

from connections.db import Database
from connections.settings import Settings
from connections.vault import ensure_development_keys
from tests.factories import Tenant, make_tenant
from tests.servers import Valkey, free_port, wait_until
from tests.unit.api_shim.doubles import StubWorker

PROGRAM = """
import sys
from api_shim.server import serve
from connections.logs import configure_logging
from connections.settings import load_settings
settings = load_settings()
configure_logging(settings, "api")
serve(settings, "127.0.0.1", int(sys.argv[1]))
"""

CONNECT = "/v1/accounts/connect"


def body(handle: str = "alice.test") -> dict[str, Any]:
    return {"platform": "bluesky", "credentials": {"handle": handle, "app_password": "canary-password"}}


class Server:
    """One API process, a caller, and a worker that settles on demand."""

    def __init__(self, settings: Settings, valkey: Valkey, log: Path) -> None:
        ensure_development_keys(settings)
        self.settings = settings
        self.valkey = valkey
        self.log = log
        self.port = free_port()
        self.database = Database(settings.database)
        self.tenant: Tenant = make_tenant(self.database)
        self.worker = StubWorker(settings, self.database, self._publish)
        self.key = {"Authorization": f"Bearer {self.tenant.key}"}
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=self.key, timeout=30)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "CONNECTOR_VAR_DIR": str(self.settings.var_dir),
            "CONNECTOR_DATABASE_URL": self.settings.database_url,
            "CONNECTOR_REDIS_URL": self.settings.redis_url,
            "CONNECTOR_LOG_LEVEL": "DEBUG",
        }
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(self.port)], env=environment, stdout=log, stderr=log
            )
        wait_until(self._answers, what="the API to answer")
        return process

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self.client.get("/healthz").is_success
        return False

    def _publish(self, channel: str, text: str) -> None:
        with self.valkey.client() as redis:
            redis.publish(channel, text)

    def task_id(self) -> str:
        """The id of the only task that was sent."""

        def sent() -> list[bytes]:
            with self.valkey.client() as redis:
                return list(redis.lrange("connect", 0, -1))

        wait_until(sent, what="a message")
        (message,) = sent()
        return str(json.loads(message)["headers"]["id"])

    def raw(self, request: bytes) -> bytes:
        """What comes back on a connection of its own until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with suppress(ConnectionError):
                connection.sendall(request)
            chunks = []
            with suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    chunks.append(chunk)
        return b"".join(chunks)

    def is_closed(self) -> bool:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()
        self.database.close()


@contextmanager
def running(valkey: Valkey, directory: Path, database: bytes) -> Iterator[Server]:
    (directory / "connector.db").write_bytes(database)
    settings = Settings(var_dir=directory, database_url=f"sqlite:///{directory / 'connector.db'}", redis_url=valkey.url)
    server = Server(settings, valkey, directory / "api.log")
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def shared_server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: bytes) -> Iterator[Server]:
    with running(valkey, tmp_path_factory.mktemp("api"), migrated_sqlite) as server:
        yield server


@pytest.fixture
def server(shared_server: Server) -> Server:
    with shared_server.valkey.client() as redis:
        redis.delete("connect")
    return shared_server


@pytest.fixture
def own_server(valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Server]:
    """For tests that end it."""
    with valkey.client() as redis:
        redis.delete("connect")
    with running(valkey, tmp_path, migrated_sqlite) as server:
        yield server


def test_the_official_sdk_connects_an_account(server: Server) -> None:
    sdk = unipost.UniPost(server.tenant.key, base_url=str(server.client.base_url))
    credentials = {"handle": "alice.test", "app_password": "canary-password"}
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(sdk.accounts.connect, platform="bluesky", credentials=credentials)
        server.worker.succeed(server.task_id())

        account = call.result(20)

    assert (account.platform, account.account_name, account.status) == ("bluesky", "alice.test", "active")


def test_the_official_sdk_understands_a_refusal(server: Server) -> None:
    sdk = unipost.UniPost("up_test_nokey", base_url=str(server.client.base_url))

    with pytest.raises(unipost.AuthError) as caught:
        sdk.accounts.connect(platform="bluesky", credentials={})
    assert caught.value.request_id.startswith("req_")


def test_who_waits_at_a_shutdown_still_gets_the_outcome(own_server: Server) -> None:
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(own_server.client.post, CONNECT, json=body())
        task_id = own_server.task_id()
        own_server.process.send_signal(signal.SIGTERM)
        wait_until(own_server.is_closed, what="the API to accept no more")
        own_server.worker.succeed(task_id)

        assert call.result(20).status_code == 201
    assert own_server.process.wait(20) in {0, -signal.SIGTERM}


def test_who_waits_too_long_at_a_shutdown_is_told_that_the_task_goes_on(own_server: Server) -> None:
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(own_server.client.post, CONNECT, json=body())
        task_id = own_server.task_id()
        own_server.process.send_signal(signal.SIGTERM)

        answer = call.result(20)

    assert answer.status_code == 504
    assert answer.headers["location"] == f"/v1/connect/tasks/{task_id}"
    assert own_server.process.wait(20) in {0, -signal.SIGTERM}
    assert b"Traceback" not in own_server.log.read_bytes()


def test_a_long_body_is_refused_and_the_connection_goes_on(server: Server) -> None:
    long = b"x" * 1024 * 1024
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    connection.auto_open = 0  # a second socket would hide that the first was closed
    with closing(connection):
        used = connection.sock
        for content in (long, (long[:1024] for _ in range(1024))):
            connection.request("POST", CONNECT, content, server.key | {"Content-Type": "application/json"})
            assert status_of_next(connection) == 413
            connection.request("GET", "/healthz")
            assert status_of_next(connection) == 200
            assert connection.sock is used


def status_of_next(connection: HTTPConnection) -> int:
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "no length that is one": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a path that is no ASCII": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nX: " + b"x" * 1024 * 1024,
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
def test_malformed_http_is_answered_in_the_one_shape(server: Server, request_bytes: bytes) -> None:
    answer = server.raw(request_bytes)

    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    error = json.loads(content)
    assert error["error"]["code"] == "BAD_REQUEST"
    assert f"x-request-id: {error['request_id']}".encode() in head.lower()
    assert b"connection: close" in head.lower()
    assert server.client.get("/healthz").status_code == 200


def test_the_server_does_not_say_what_it_is(server: Server) -> None:
    assert "server" not in server.client.get("/healthz").headers


def test_nothing_secret_is_logged(own_server: Server) -> None:
    accepted = own_server.client.post(CONNECT, json=body(), headers={"Prefer": "respond-async"})
    refused = own_server.client.post(CONNECT, json=body() | {"platform": "x"})
    own_server.process.send_signal(signal.SIGTERM)
    own_server.process.wait(20)

    assert (accepted.status_code, refused.status_code) == (202, 422)
    log = own_server.log.read_text()
    assert "connect_accepted" in log
    assert "canary" not in log
    assert own_server.tenant.key not in log
