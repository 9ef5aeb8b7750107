"""`POST /v1/connect/batches`: how bodies arrive, and what is answered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from api_shim import upload
from connections.models import connect_batches, connect_tasks
from tests.unit.api_shim.conftest import Api

PATH = "/v1/connect/batches"
CSV = b"handle,app_password,external_ref\nalice.test,canary-password,1\nbob.test,,2\nALICE.test,canary-password,3\n"
NDJSON = b'{"handle": "alice.test", "app_password": "canary-password"}\n'


async def post(api: Api, body: Any, content_type: str = "text/csv", query: str = "", **headers: str) -> httpx.Response:
    return await api.client.post(
        PATH + query, content=body, headers=api.key | {"Content-Type": content_type, **headers}
    )


def stored(api: Api) -> tuple[int, int]:
    """How many batches and tasks there are."""
    with api.database.read() as connection:
        counts = [
            connection.execute(select(func.count()).select_from(t)).scalar_one()
            for t in (connect_batches, connect_tasks)
        ]
    return counts[0], counts[1]


async def test_the_answer_names_the_batch_and_the_rows_that_were_refused(api: Api) -> None:
    answer = await post(api, CSV)

    assert answer.status_code == 202
    data = answer.json()["data"]
    assert answer.headers["location"] == f"{PATH}/{data['id']}"
    assert answer.headers["retry-after"] == "5"
    assert (data["status"], data["total"]) == ("running", 3)
    assert [(row["row"], row["line"], row["external_ref"], row["issues"][0]["code"]) for row in data["rejected"]] == [
        (2, 3, "2", "required"),
        (3, 4, "3", "duplicate_row"),
    ]
    assert stored(api) == (1, 1)
    batch = await api.get(f"{PATH}/{data['id']}")
    assert batch.json()["data"]["counts"]["rejected"] == 2


async def test_an_accepted_batch_is_begun_at_once_and_stands_without_redis(api: Api) -> None:
    refused = await post(api, b"handle\n")
    assert (refused.status_code, api.queue.asked) == (422, 0)
    assert (await post(api, CSV)).status_code == 202
    assert (api.queue.asked, api.queue.sent) == (1, [])
    api.queue.is_down = True
    assert (await post(api, NDJSON, "application/x-ndjson")).status_code == 202


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (NDJSON, "application/x-ndjson"),
        (NDJSON, "Application/X-NDJSON; charset=UTF-8"),
        (CSV, 'text/csv; header=present; charset="utf-8"'),
        (b'{"items": [{"handle": "a.test", "app_password": "x"}], "platform": "bluesky"}', "application/json"),
    ],
)
async def test_the_media_type_says_how_to_read_it(api: Api, body: bytes, content_type: str) -> None:
    assert (await post(api, body, content_type)).status_code == 202


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "text/csv; charset=latin-1", ";"])
async def test_any_other_media_type_is_refused(api: Api, content_type: str) -> None:
    answer = await post(api, CSV, content_type)

    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_compressed_body_is_refused(api: Api) -> None:
    assert (await post(api, CSV, **{"Content-Encoding": "gzip"})).status_code == 415


async def test_platform_and_profile_come_with_the_query(api: Api) -> None:
    wrong = await post(api, CSV, query="?platform=myspace")
    foreign = await post(api, CSV, query="?profile_id=pr_nobodys")

    assert [issue["code"] for issue in wrong.json()["error"]["issues"]] == ["unknown_platform"]
    assert [issue["code"] for issue in foreign.json()["error"]["issues"]] == ["unknown_profile"]
    assert (await post(api, CSV, query=f"?profile_id={api.tenant.profile_ids[0]}")).status_code == 202


async def test_a_fault_of_the_file_names_its_line(api: Api) -> None:
    answer = await post(api, CSV + "Zoë,canary-password,4\n".encode("latin-1"))

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "VALIDATION_ERROR")
    assert error["details"] == {"line": 5}
    assert [(issue["field"], issue["code"]) for issue in error["issues"]] == [("body", "invalid_encoding")]
    assert "UTF-8" in error["message"]
    assert stored(api) == (0, 0)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    "send", [lambda body: body, lambda body: chunks(body[:40], body[40:])], ids=["announced", "not"]
)
async def test_a_body_that_is_too_large(
    api: Api, monkeypatch: pytest.MonkeyPatch, send: Callable[[bytes], Any]
) -> None:
    monkeypatch.setattr(upload, "MAX_BYTES", len(CSV) - 1)

    answer = await post(api, send(CSV))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert "MiB" in answer.json()["error"]["message"]
    assert stored(api) == (0, 0)


async def test_the_same_key_gets_the_same_answer_byte_for_byte(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = await post(api, CSV, **key, **{"X-Request-Id": "first"})
    again = await post(api, CSV, **key, **{"X-Request-Id": "again"})
    other = await post(api, NDJSON, "application/x-ndjson", **key)

    assert again.content == first.content
    assert again.headers["x-request-id"] == "first"
    assert again.headers["location"] == first.headers["location"]
    assert other.json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert stored(api) == (1, 1)


async def call(api: Api, events: list[dict[str, Any]], *, every: float = 0.0) -> list[Any]:
    """The app called with these events, so many seconds apart, and silence after them."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"authorization", api.key["Authorization"].encode()), (b"content-type", b"text/csv")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(every)
        return events.pop(0) if events else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await api.app(scope, receive, send)
    return sent


HALF = {"type": "http.request", "body": CSV, "more_body": True}


async def test_who_hangs_up_in_the_middle_leaves_nothing(api: Api) -> None:
    sent = await call(api, [HALF, {"type": "http.disconnect"}])

    assert sent[0]["status"] == 400
    assert stored(api) == (0, 0)


async def test_who_stops_sending_holds_no_thread(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "PATIENCE_SECONDS", 0.05)

    sent = await call(api, [HALF])

    assert sent[0]["status"] == 400
    assert b"too slowly" in sent[1]["body"]
    assert stored(api) == (0, 0)


async def test_who_always_sends_a_little_holds_no_thread(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "WHOLE_SECONDS", 0.3)
    a_piece = {"type": "http.request", "body": b"\n" * upload._PIECE_BYTES, "more_body": True}

    sent = await call(api, [HALF, *[a_piece] * 250], every=0.1)

    assert sent[0]["status"] == 400
    assert b"too slowly" in sent[1]["body"]
    assert stored(api) == (0, 0)


async def test_a_request_that_is_given_up_frees_its_thread(api: Api) -> None:
    events = [HALF]
    request = asyncio.create_task(call(api, events))
    async with asyncio.timeout(10):
        while events:  # noqa: ASYNC110  nobody announces that it waits for more
            await asyncio.sleep(0.01)

    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    async with asyncio.timeout(10):
        await asyncio.to_thread(api.shim.importing.close)
    assert stored(api) == (0, 0)


async def test_no_password_is_told_or_logged(api: Api) -> None:
    bodies = [
        CSV,
        CSV + b'"',
        b"canary-password,canary-password\n",
        CSV + b"canary-password,canary-password,,,x\n",
        NDJSON,
    ]
    with capture_logs() as logs:
        answers = [await post(api, body) for body in bodies]

    assert "canary" not in repr(logs)
    assert all("canary" not in answer.text for answer in answers)
