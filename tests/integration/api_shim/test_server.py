"""The API as a process of its own: how it speaks HTTP, and how it ends."""

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
import unipost

from tests.integration.api_shim.server import Server, running
from tests.servers import Valkey, wait_until

CONNECT = "/v1/accounts/connect"


def body(handle: str = "alice.test") -> dict[str, Any]:
    return {"platform": "bluesky", "credentials": {"handle": handle, "app_password": "canary-password"}}


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


def test_a_load_balancer_is_told_to_look_elsewhere_before_connections_are_refused(
    valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes
) -> None:
    with running(valkey, tmp_path, migrated_sqlite, drain_seconds=300) as server:
        server.process.send_signal(signal.SIGTERM)

        def answer() -> dict[str, Any]:
            told: dict[str, Any] = server.client.get("/readyz").json()["error"]["details"]
            return told

        wait_until(lambda: answer() == {"process": "draining"}, what="the API to say that it will end")
        asked = server.client.post(CONNECT, json=body(), headers={"Prefer": "respond-async"})
        assert asked.status_code == 202

        server.process.send_signal(signal.SIGINT)  # somebody does not want to wait
        assert server.process.wait(20) is not None


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


def post(server: Server, length: int) -> bytes:
    head = f"POST {CONNECT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.tenant.key}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


def framed(server: Server) -> bytes:
    content = json.dumps(body()).encode()
    return post(server, len(content)) + content


def answer_on(connection: socket.socket) -> int:
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def test_an_answer_is_never_put_in_front_of_an_earlier_one(server: Server) -> None:
    with ThreadPoolExecutor(1) as threads:
        received = threads.submit(server.raw, framed(server) + b"hello\r\n\r\n")
        server.worker.succeed(server.task_id())

        answer = received.result(20)

    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1


def test_an_answered_request_gets_no_second_answer_for_its_body(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert answer_on(connection) == 404
        connection.sendall(b"no size\r\n")

        assert connection.recv(65536) == b""


def test_a_stranger_cannot_send_trailers_for_ever(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(f"POST {CONNECT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode())
        assert answer_on(connection) == 401

        with pytest.raises(ConnectionError):
            connection.sendall(b"a:b\r\n" * 4_000_000)  # more than the buffers in between hold


def test_a_long_body_is_no_part_of_the_head_that_follows_it(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(post(server, 200_000) + b" " * 200_000 + b"GET /healthz HTTP/1.1\r\n")
        assert answer_on(connection) == 413
        connection.sendall(b"Host: x\r\n\r\n")

        assert answer_on(connection) == 200


def test_who_sends_several_requests_and_hangs_up_leaves_no_trace_of_a_bug(own_server: Server) -> None:
    with socket.create_connection(("127.0.0.1", own_server.port), timeout=10) as connection:
        connection.sendall(framed(own_server) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        task_id = own_server.task_id()
        wait_until(lambda: own_server.waiting() == 1, what="the caller to wait")
    own_server.worker.succeed(task_id)
    wait_until(lambda: own_server.waiting() == 0, what="the caller to be gone")

    assert own_server.client.get("/healthz").is_success
    assert "request_crashed" not in own_server.log.read_text()


def test_who_does_not_finish_a_request_is_not_waited_for(
    valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes
) -> None:
    with running(valkey, tmp_path, migrated_sqlite, patience_seconds=1) as server:
        for beginning in (b"", b"POST / HTTP/1.1\r\nHost: x\r\n", post(server, 100) + b"{"):
            assert server.raw(beginning) == b""
        assert server.client.get("/healthz").is_success
        assert "request_crashed" not in server.log.read_text()


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
