"""The page's route beside an API that says what a test wants it to say, on a real port."""

import asyncio
import csv
import io
import json
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from api_shim.routes import batch_page
from connections.contract import (
    Batch,
    BatchAnswer,
    BatchResult,
    BatchResultsAnswer,
    BatchStatus,
    BatchWait,
    ErrorAnswer,
    ErrorBody,
    PageMeta,
    RowStatus,
    TaskError,
)
from tests.servers import free_port, wait_until

BATCH_ID = "cb_01jd8x2v9k3m5n7p9q1r3s5t7w"
KEY = "up_test_canary0123456789"


def a_batch(*, total: int = 10_000, status: BatchStatus = BatchStatus.RUNNING, **changes: Any) -> Batch:
    """`counts` may name some of the statuses; rows that none names are queued."""
    counts = dict.fromkeys(RowStatus, 0) | changes.pop("counts", {})
    counts[RowStatus.QUEUED] += total - sum(counts.values())
    now = datetime.now(UTC)
    facts: dict[str, Any] = {
        "id": BATCH_ID,
        "status": status,
        "platform": "bluesky",
        "total": total,
        "counts": counts,
        "causes": {},
        "rate": None,
        "eta": None,
        "waits_for": None,
        "created_at": now - timedelta(minutes=11),
        "canceled_at": None,
        "finished_at": None if status in (BatchStatus.RUNNING, BatchStatus.CANCELING) else now,
    }
    return Batch(**facts | changes)


def a_failure(row: int, *, reference: str | None = None, message: str = "No account has this handle.") -> BatchResult:
    error = TaskError(code="VALIDATION_ERROR", normalized_code="validation_error", message=message, http_status=422)
    return BatchResult(
        row=row,
        line=row + 1,
        external_ref=reference or f"customer-{row}",
        status=RowStatus.FAILED,
        task_id=f"ct_{row}",
        attempts=1,
        finished_at=datetime.now(UTC),
        account=None,
        error=error,
    )


def waiting_for_the_limit(host: str = "bsky.social") -> BatchWait:
    return BatchWait(reason="rate_limit", host=host, budget="3000/300", until=datetime.now(UTC) + timedelta(seconds=48))


class ScriptedApi:
    """What it answers is public and may be changed at any time; `requests` is what it was asked."""

    def __init__(self) -> None:
        self.batch = a_batch()
        self.failures: list[BatchResult] = []
        self.events: list[tuple[str, str]] = []
        """Type and data; the id of each is its place, counted from 1. One without data is a comment."""
        self.refusal: Response | None = None
        """Answers everything that was not refused for its key."""
        self.is_canceled = False
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.streams = 0
        """Streams of events that are open."""
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/batches/{BATCH_ID}"
        self._is_dropping = False
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        server = uvicorn.Server(
            uvicorn.Config(self._app(), "127.0.0.1", self.port, log_config=None, timeout_graceful_shutdown=1)
        )
        self._server, self._thread = server, threading.Thread(target=server.run)
        self._is_dropping = False
        self._thread.start()
        wait_until(lambda: server.started, what="the API to answer")

    def stop(self) -> None:
        """All connections end, and new ones are refused."""
        if self._server is not None and self._thread is not None:
            self._is_dropping = True
            self._server.should_exit = True
            self._thread.join()
            self._server = None

    def drop_streams(self) -> None:
        """As a proxy does that thinks they took long enough."""
        wait_until(lambda: self.streams, what="a stream of events")
        self._is_dropping = True
        wait_until(lambda: not self.streams, what="the streams to end")
        self._is_dropping = False

    def tell(self, batch: Batch) -> None:
        self.batch = batch
        self.events.append(("progress", batch.model_dump_json()))

    def end(self, batch: Batch) -> None:
        self.tell(batch)
        self.events.append(("end", "{}"))

    def headers_of(self, path: str) -> list[dict[str, str]]:
        return [headers for asked, headers in self.requests if asked.partition("?")[0] == path]

    def _app(self) -> FastAPI:
        app = FastAPI(
            openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
        )
        app.include_router(batch_page.router)
        base = f"/v1/connect/batches/{BATCH_ID}"

        @app.middleware("http")
        async def guard(request: Request, call_next: Any) -> Response:
            path = request.url.path.removeprefix(base) if request.url.path.startswith(base) else request.url.path
            query = f"?{request.url.query}" if request.url.query else ""
            self.requests.append((path + query, dict(request.headers)))
            if not request.url.path.startswith("/v1/"):
                page: Response = await call_next(request)
                return page
            if request.headers.get("authorization") != f"Bearer {KEY}":
                return _error("UNAUTHORIZED", "The API key is missing, unknown, revoked or expired.", 401)
            if not request.url.path.startswith(base):
                return _error("NOT_FOUND", "There is nothing at this address.", 404)
            answer: Response = self.refusal or await call_next(request)
            return answer

        @app.get(base)
        async def batch() -> Response:
            return _json(BatchAnswer(data=self.batch, request_id="req_1").model_dump_json())

        @app.post(f"{base}/cancel")
        async def cancel() -> Response:
            self.is_canceled = True
            return await batch()

        @app.get(f"{base}/results")
        async def results(request: Request, cursor: int = 0, limit: int = 100) -> Response:
            match request.headers["accept"]:
                case "text/csv":
                    return Response(self._csv(), media_type="text/csv")
                case "application/x-ndjson":
                    lines = "".join(f"{row.model_dump_json()}\n" for row in self.failures)
                    return Response(lines, media_type="application/x-ndjson")
            end = cursor + limit
            has_more = end < len(self.failures)
            meta = PageMeta(limit=limit, next_cursor=str(end) if has_more else None, has_more=has_more)
            page = BatchResultsAnswer(data=self.failures[cursor:end], meta=meta, request_id="req_1")
            return _json(page.model_dump_json())

        @app.get(f"{base}/events")
        async def events(request: Request) -> Response:
            last = int(request.headers.get("last-event-id", 0))
            if last and self.events[last - 1][0] == "end":
                return Response(status_code=204)
            return StreamingResponse(self._stream(last), media_type="text/event-stream")

        return app

    def _csv(self) -> str:
        text = io.StringIO()
        csv.writer(text).writerows((row.row, row.external_ref, row.status) for row in self.failures)
        return text.getvalue()

    async def _stream(self, last: int) -> AsyncIterator[str]:
        self.streams += 1
        try:
            yield "retry: 2000\n\n"
            while not self._is_dropping:
                for number, (kind, data) in enumerate(self.events[last:], last + 1):
                    yield f"id: {number}\r\nevent: {kind}\ndata: {data}\n\n" if data else f": {kind}\n\n"
                    last = number
                    if kind == "end":
                        return
                await asyncio.sleep(0.02)
        finally:
            self.streams -= 1


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")


def _error(code: str, message: str, status: int) -> Response:
    body = ErrorBody(code=code, normalized_code=code.lower(), message=message)
    return JSONResponse(json.loads(ErrorAnswer(error=body, request_id="req_1").model_dump_json()), status)
