"""A receiver of webhooks on loopback: a real HTTP server that answers as it is told and remembers what it got."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from unipost.webhook import verify_webhook_signature


@dataclass(frozen=True)
class Got:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def subject(self) -> str:
        subject: str = self.event["data"]["id"]
        return subject

    def is_signed_with(self, secret: str) -> bool:
        """As the official SDK says."""
        return bool(
            verify_webhook_signature(payload=self.body, signature=self.headers["x-unipost-signature"], secret=secret)
        )


Answer = int | tuple[int, dict[str, str]]


def take(_got: Got) -> Answer:
    return 204


class Receiver:
    """`answer` gives the status for each request, and more headers if it likes. It may take its time."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.answer: Callable[[Got], Answer] = take
        self._got: list[Got] = []
        self._lock = threading.Lock()

    @property
    def got(self) -> list[Got]:
        """In the order in which they arrived."""
        with self._lock:
            return list(self._got)

    def forget(self) -> None:
        with self._lock:
            self._got.clear()

    def receive(self, got: Got) -> Answer:
        with self._lock:
            self._got.append(got)
        return self.answer(got)


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            answer = receiver.receive(got)
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
