"""The health checks of image and compose, run as they stand against something that answers."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.deploy.dockerfile import read_stages
from tests.deploy.files import DOCKERFILE, compose
from tests.servers import free_port


def of_image() -> list[str]:
    """The command of the image's HEALTHCHECK."""
    (check,) = (step for step in read_stages(DOCKERFILE)[-1] if step.name == "HEALTHCHECK")
    _, command = check.text.split(" CMD ")
    words: list[str] = json.loads(command)
    return words


def of(service: str) -> list[str]:
    command: list[str] = compose()["services"][service]["healthcheck"]["test"][1:]
    return command


CHECKS = {
    "image": (of_image(), 8000),
    "api": (of("api"), 8000),
    "worker": (of("worker"), 9464),
    "beat": (of("beat"), 9464),
}


class Process(BaseHTTPRequestHandler):
    """Answers `/healthz` with `status`."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@contextmanager
def answering(with_status: int) -> Iterator[int]:
    """The port of a process that says so."""
    server = HTTPServer(("127.0.0.1", 0), type("It", (Process,), {"status": with_status}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(command: list[str], *, port: int, instead: int) -> int:
    program, *arguments = (word.replace(f", {port},", f", {instead},") for word in command)
    assert program == "python"
    # A container may have been given a proxy, which does not know its loopback.
    env = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run([sys.executable, *arguments], env=env, stderr=subprocess.DEVNULL, check=False)
    return done.returncode


@pytest.mark.parametrize(("command", "port"), CHECKS.values(), ids=CHECKS)
def test_a_process_is_well_when_it_says_so(command: list[str], port: int) -> None:
    with answering(200) as answers:
        assert run(command, port=port, instead=answers) == 0
    with answering(503) as answers:
        assert run(command, port=port, instead=answers) == 1
    assert run(command, port=port, instead=free_port()) == 1
