"""Batches as a real process tells of them: files of any length, streams that last, and how both end."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from connections.contract import RowStatus
from tests.batch_rows import end_row, insert_batch
from tests.integration.api_shim.server import Server, running
from tests.servers import Valkey, wait_until

R = RowStatus
ROWS = 10_000
MEGABYTE = 1024 * 1024


@pytest.fixture
def server(valkey: Valkey, tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Server]:
    with running(valkey, tmp_path, migrated_sqlite) as server:
        yield server


def path_of(server: Server, rows: list[RowStatus]) -> str:
    return f"/v1/connect/batches/{insert_batch(server.database, server.tenant, rows)}"


def used(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def read_whole(server: Server, path: str, accept: str) -> int:
    """How many lines come."""
    lines = 0
    with server.client.stream("GET", f"{path}/results", headers={"Accept": accept}) as answer:
        assert answer.status_code == 200
        for piece in answer.iter_raw():
            lines += piece.count(b"\n")
    return lines


def test_ten_thousand_rows_are_sent_in_flat_memory(server: Server) -> None:
    path = path_of(server, [R.CONNECTED, R.FAILED, R.REJECTED, R.QUEUED] * (ROWS // 4))
    read_whole(server, path_of(server, [R.CONNECTED, R.FAILED, R.REJECTED, R.QUEUED] * 250), "application/x-ndjson")
    before = used(server)

    assert read_whole(server, path, "application/x-ndjson") == ROWS
    assert read_whole(server, path, "text/csv") == ROWS + 1

    assert used(server) - before < 8 * MEGABYTE  # what is sent is 6, what it is made of several times as much


@contextmanager
def events(server: Server, path: str) -> Iterator[Iterator[str]]:
    with server.client.stream("GET", f"{path}/events") as stream:
        assert stream.status_code == 200
        yield stream.iter_lines()


def next_event(lines: Iterator[str]) -> str:
    name = next(line for line in lines if line.startswith("event: "))
    return name.removeprefix("event: ")


def test_events_arrive_as_they_happen(server: Server) -> None:
    path = path_of(server, [R.QUEUED])
    with events(server, path) as lines:
        assert next_event(lines) == "progress"
        end_row(server.database, path.rpartition("/")[2], 1)
        assert next_event(lines) == "progress"
        assert next_event(lines) == "end"
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["status"] == "finished"
        assert list(lines) == [""]


def test_a_shutdown_ends_streams_at_once_and_cleanly(server: Server) -> None:
    with events(server, path_of(server, [R.QUEUED])) as lines:
        assert next_event(lines) == "progress"
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert all(not line.startswith("event: ") for line in lines)  # and no error: the answer is whole
        ended = time.monotonic()

    assert server.process.wait(20) in {0, -signal.SIGTERM}
    assert ended - began < 4.5  # the grace period is 5
    assert b"Traceback" not in server.log.read_bytes()


def test_who_hangs_up_is_forgotten(server: Server) -> None:
    path = path_of(server, [R.QUEUED])
    request = f"GET {path}/events HTTP/1.1\r\nHost: api.test\r\nAuthorization: {server.key['Authorization']}\r\n\r\n"
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(request.encode())
            received = b""
            while b"event: progress" not in received:
                received += connection.recv(65536)

    wait_until(lambda: _listeners(server) == 0, what="listeners to be forgotten")
    assert b"Traceback" not in server.log.read_bytes()


def _listeners(server: Server) -> int:
    with suppress(httpx.TransportError):
        text = server.client.get("/metrics").text
        line = next(line for line in text.splitlines() if line.startswith("connector_batch_listeners "))
        return int(float(line.rpartition(" ")[2]))
    return -1
