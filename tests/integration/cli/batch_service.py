"""A service of batches that fails as told: what became of a row follows from its handle."""

import csv
import io
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connections.contract import UNFINISHED_ROWS, RowStatus

NOW = "2026-11-24T10:00:00.000Z"
BATCH_ID = "cb_1"
KEY = "up_test_key"
PASSWORD = "abcd-efgh-2345-wxyz"


@dataclass(frozen=True, slots=True)
class Posted:
    key: str | None
    content_type: str
    query: Mapping[str, str]
    body: bytes


@dataclass
class Script:
    """What the service does with the next requests, each used once: `drop`, `swallow` (takes it), `hang`, a
    status with an error; for events `cut` after the first, or `none` (a 503)."""

    posts: list[str | int] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    gets: list[int] = field(default_factory=list)
    retry_after: str = "0"
    page_rows: int = 3
    release: threading.Event = field(default_factory=threading.Event)
    """Until it is set, the batch does not end."""


class Service(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.script = Script()
        self.script.release.set()
        self.posted: list[Posted] = []
        self.batches: dict[str, Posted] = {}
        self.asked: list[str] = []
        self.last_event_ids: list[str | None] = []
        self.followed = threading.Event()
        self.is_canceled = False

    @property
    def rows(self) -> list[dict[str, str]]:
        [posted] = self.batches.values()
        return list(csv.DictReader(io.StringIO(posted.body.decode("utf-8-sig"))))

    def batch(self) -> dict[str, Any]:
        has_ended = self.script.release.is_set()
        ends = Counter(end_of(row["handle"])[0] for row in self.rows)
        counts: Counter[RowStatus] = ends if has_ended else Counter({RowStatus.QUEUED: len(self.rows)})
        return {
            "id": BATCH_ID,
            "status": "finished" if not any(counts[status] for status in UNFINISHED_ROWS) else "running",
            "platform": "bluesky",
            "total": len(self.rows),
            "counts": {status.value: counts[status] for status in RowStatus},
            "causes": {},
            "rate": 10.0,
            "eta": None,
            "waits_for": None,
            "created_at": NOW,
            "canceled_at": NOW if self.is_canceled else None,
            "finished_at": NOW if has_ended else None,
        }

    def results(self) -> list[dict[str, Any]]:
        return [
            {
                "row": number,
                "external_ref": row.get("external_ref"),
                "status": end_of(row["handle"])[0].value,
                "task_id": f"ct_{number}",
                "attempts": 1,
                "finished_at": NOW,
                "account": account(row["handle"]) if end_of(row["handle"])[0] is RowStatus.CONNECTED else None,
                "error": end_of(row["handle"])[1],
            }
            for number, row in enumerate(self.rows, 1)
        ]


def end_of(handle: str) -> tuple[RowStatus, dict[str, Any] | None]:
    if handle.startswith("known"):
        error = problem(
            "ACCOUNT_ALREADY_CONNECTED", f"{handle} is connected already.", details={"account_id": "sa_old"}
        )
        return RowStatus.ALREADY_CONNECTED, {**error, "http_status": 409}
    if handle.startswith("bad"):
        return RowStatus.FAILED, {**problem("UNAUTHORIZED", "Bluesky rejects it."), "http_status": 401}
    if handle.startswith("odd"):
        issues = [{"field": "handle", "code": "invalid_handle", "message": "=This is no handle."}]
        error = problem("VALIDATION_ERROR", "This is no handle.", issues=issues)
        return RowStatus.REJECTED, {**error, "http_status": 422}
    return RowStatus.CONNECTED, None


def account(handle: str) -> dict[str, Any]:
    return {
        "id": f"sa_{handle}",
        "profile_id": "pr_1",
        "platform": "bluesky",
        "account_name": handle,
        "status": "active",
        "connection_type": "byo",
        "connected_at": NOW,
    }


def problem(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"code": code, "normalized_code": code.lower(), "message": message, **more}


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        if self.path.endswith("/cancel"):
            self.server.is_canceled = True
            self._json(200, {"data": self.server.batch()})
            return
        fault = self.server.script.posts.pop(0) if self.server.script.posts else None
        if fault == "drop":
            self.rfile.read(1)
            self._hang_up()
            return
        url = urlsplit(self.path)
        posted = Posted(
            self.headers["Idempotency-Key"], self.headers["Content-Type"], dict(parse_qsl(url.query)), self._body()
        )
        self.server.posted.append(posted)
        if fault == "hang":
            self.connection.recv(1)  # nothing comes but the end of whoever asks
            self.close_connection = True
            return
        if isinstance(fault, int):
            self._json(fault, {"error": problem("SOME_ERROR", "It cannot be done now.")})
            return
        assert posted.key is not None
        assert self.server.batches.setdefault(posted.key, posted) == posted
        if fault == "swallow":
            self._hang_up()
            return
        data = {"id": BATCH_ID, "status": "running", "total": len(self.server.rows), "rejected": []}
        self._json(202, {"data": data})

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        url = urlsplit(self.path)
        if not self.server.batches or not url.path.startswith(f"/v1/connect/batches/{BATCH_ID}"):
            self._json(404, {"error": problem("NOT_FOUND", "There is no such batch.")})
        elif url.path.endswith("/events"):
            self._events()
        elif self.server.script.gets:
            self._json(self.server.script.gets.pop(0), {"error": problem("SOME_ERROR", "It cannot be done now.")})
        elif url.path.endswith("/results"):
            self._results(dict(parse_qsl(url.query)))
        else:
            self._json(200, {"data": self.server.batch()})

    def _results(self, query: Mapping[str, str]) -> None:
        results = self.server.results()
        if "application/json" not in (accept := self.headers["Accept"]) and accept != "*/*":
            self._text(accept, "".join(f"{each['row']},{each['status']}\n" for each in results))
            return
        begin = int(query.get("cursor", "0"))
        end = begin + min(self.server.script.page_rows, int(query["limit"]))
        more = end < len(results)
        meta = {"limit": int(query["limit"]), "next_cursor": str(end) if more else None, "has_more": more}
        self._json(200, {"data": results[begin:end], "meta": meta})

    def _events(self) -> None:
        fault = self.server.script.events.pop(0) if self.server.script.events else None
        self.server.last_event_ids.append(self.headers["Last-Event-ID"])
        if fault == "none":
            self._json(503, {"error": problem("SERVICE_UNAVAILABLE", "There are too many listeners.")})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.end_headers()
        number = len(self.server.last_event_ids)
        self._write(f"retry: 10\nid: e{number}\nevent: progress\ndata: {json.dumps(self.server.batch())}\n\n")
        self.server.followed.set()
        if fault == "cut":
            return
        while not self.server.script.release.wait(0.05):
            self._write(": still here\n\n")
        self._write(f"id: end\nevent: end\ndata: {json.dumps(self.server.batch())}\n\n")

    def _body(self) -> bytes:
        """As it is sent when its length is not known beforehand. (RFC 9112, 7.1.)"""
        assert self.headers["Transfer-Encoding"] == "chunked"
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, status: int, answer: Mapping[str, Any]) -> None:
        self._text("application/json", json.dumps({**answer, "request_id": "req_1"}), status)

    def _text(self, content_type: str, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text.encode())))
        if status >= 400:
            self.send_header("Retry-After", self.server.script.retry_after)
        self.end_headers()
        self._write(text)

    def _write(self, text: str) -> None:
        try:
            self.wfile.write(text.encode())
            self.wfile.flush()
        except OSError:  # whoever asked is gone
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        pass


@contextmanager
def running_batch_service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield service
        service.script.release.set()
        service.shutdown()
        thread.join()
