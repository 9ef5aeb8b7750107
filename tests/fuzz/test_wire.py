"""Bytes that are nearly HTTP, to the real process: it never answers 500, never dies, and is never talked into more."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.contract import ErrorAnswer
from tests.fuzz.scale import fuzzed
from tests.integration.api_shim.server import Server, running
from tests.servers import Valkey

BODY = json.dumps({"platform": "bluesky", "credentials": {"handle": "a.test", "app_password": "canary"}}).encode()
CONNECT = b"POST /v1/accounts/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nPrefer: respond-async\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

VALID = [
    CONNECT + LENGTH + b"\r\n" + BODY,
    CONNECT + CHUNKED + b"\r\n" + CHUNKS,
    CONNECT + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n" + BODY,
    b"GET /v1/connect/tasks/ct_1?wait=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\n\r\n",
    b"GET http://x/healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/connect/tasks/%00%ff%2e%2e%0d%0a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
]
PIECES = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff", b"%00", b"%", b"#", b"?", b"..", b"0x", b"-1", b"+1"),
    *(b"9" * 30, b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", CHUNKED, b"Transfer-Encoding: gzip, chunked\r\n"),
    *(
        b"Transfer-Encoding : chunked\r\n",
        b" folded\r\n",
        b"X: " + b"x" * 70_000,
        b"Connection: close\r\n",
        b"0\r\n\r\n",
    ),
    *(b";ext=1", b"Host: y\r\n", b"HTTP/9.9", b"Expect: 100-continue\r\n", b"Content-Encoding: gzip\r\n"),
]
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-Id: last\r\nConnection: close\r\n\r\n"


@st.composite
def nearly_http(draw: st.DrawFn) -> bytes:
    """One to three requests in a row, a few bytes of them replaced, put in or taken out, the end perhaps missing."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 4))
        data = data[:at] + draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + data[at + gone :]
    return data[: draw(st.integers(1, len(data)))] if draw(st.integers(0, 7)) == 0 else data


@pytest.fixture(scope="module")
def server(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: bytes) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("wire")
    with running(valkey, directory, migrated_sqlite, sync_wait_seconds=0) as server:
        yield server


def exchange(server: Server, data: bytes) -> bytes:
    """All that comes back until the server ends the connection."""
    answered = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        with suppress(ConnectionError):
            connection.sendall(data.replace(b"KEY", server.tenant.key.encode()) + LAST)
        # What is waited for by now are bytes that will not come. How long this takes decides nothing.
        connection.settimeout(0.05)
        with suppress(ConnectionError):
            while True:
                try:
                    received = connection.recv(65536)
                except TimeoutError:
                    connection.settimeout(10)
                    connection.shutdown(socket.SHUT_WR)
                    continue
                if not received:
                    break
                answered.append(received)
    return b"".join(answered)


HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [A-Za-z -]+\r\n((?:[a-zA-Z-]+: [^\r\n\0]*\r\n)*)\r\n")


def answers(received: bytes) -> Iterator[tuple[int, dict[str, str], bytes]]:
    """Status, headers and body of each answer. Raises `AssertionError` when anything else is in between."""
    while received:
        head = HEAD.match(received)
        assert head is not None, received[:200]
        lines = head[2].decode("ascii").splitlines()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        end = head.end() + int(headers.get("content-length", "0"))
        assert end <= len(received)
        yield int(head[1]), headers, received[head.end() : end]
        received = received[end:]


def check_shape(status: int, headers: dict[str, str], content: bytes) -> None:
    if status == 100:
        return
    assert status < 500 or status == 504  # the wait is over: nobody works on what is accepted here
    request_id = headers["x-request-id"]
    if status >= 400:
        answer = ErrorAnswer.model_validate_json(content, extra="forbid")
        assert answer.request_id == request_id
        assert "canary" not in answer.error.message


def test_whatever_is_sent_the_answers_are_in_shape(server: Server) -> None:
    @fuzzed(700)
    @given(nearly_http())
    def answer_in_shape(data: bytes) -> None:
        for answer in answers(exchange(server, data)):
            check_shape(*answer)

    answer_in_shape()

    assert server.process.poll() is None
    assert server.client.get("/readyz").json()["error"]["details"]["database"] == "ok"
    log = server.log.read_text()
    assert "connect_accepted" in log
    assert "request_crashed" not in log
    assert "Traceback" not in log
    assert server.tenant.key not in log


BOTH = CONNECT + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": BOTH,
    "chunks and length": CONNECT + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": CONNECT + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two lengths in one": CONNECT + b"Content-Length: 5, 6\r\n\r\n",
    "a length below zero": CONNECT + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": CONNECT + b"Content-Length: +5\r\n\r\n",
    "a length in hexadecimal": CONNECT + b"Content-Length: 0x5\r\n\r\n",
    "a length beyond all": CONNECT + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    "a coding after chunked": CONNECT + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "an unknown coding": CONNECT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": CONNECT + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded header": CONNECT + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a chunk below zero": CONNECT + CHUNKED + b"\r\n-1\r\n\r\n",
    "a chunk beyond all": CONNECT + CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n",
    "a chunk in words": CONNECT + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CONNECT + CHUNKED + b"\r\n2\r\nhello\r\n0\r\n\r\n",
    "a bare line feed": CONNECT + b"X: y\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "a bare carriage return": CONNECT + b"X: y\r" + CHUNKED + b"\r\n0\r\n\r\n",
    "a NUL in a header": CONNECT + b"X: \0\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_others_may_frame_otherwise_is_the_last_that_is_read(server: Server, data: bytes) -> None:
    """RFC 9112, 11.2: request smuggling."""
    received = list(answers(exchange(server, data)))

    for answer in received:
        check_shape(*answer)
    assert received[-1][0] == 400
    assert received[-1][1]["connection"] == "close"
    assert "last" not in [headers["x-request-id"] for _status, headers, _content in received]
