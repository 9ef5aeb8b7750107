"""`/v1/connect/batches/{batch_id}` and what is below it."""

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import update

from connections.contract import BatchAnswer, BatchResult, BatchResultsAnswer, RowStatus
from connections.models import connect_batches, connect_tasks
from tests.batch_rows import account, end_row, insert_batch, stored_row
from tests.doubles import until
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of

R = RowStatus
ALL = list(RowStatus)
OVER = [R.CONNECTED, R.ALREADY_CONNECTED, R.FAILED, R.EXPIRED, R.CANCELED, R.REJECTED]


def batch_with(api: Api, rows: Sequence[RowStatus], **options: Any) -> str:
    return f"/v1/connect/batches/{insert_batch(api.database, api.tenant, rows, **options)}"


async def data_of(api: Api, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    BatchAnswer.model_validate(answer.json(), extra="forbid")
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_batch_under_way(api: Api) -> None:
    path = batch_with(api, [*ALL, R.CONNECTED, R.FAILED])

    answer = await api.get(path)

    batch = answer.json()["data"]
    assert (batch["status"], batch["platform"], batch["total"]) == ("running", "bluesky", 11)
    assert batch["counts"] == dict.fromkeys(ALL, 1) | {"connected": 2, "failed": 2}
    assert batch["causes"] == {"unauthorized": 2, "connect_timeout": 1, "required": 1}
    # Of 8 tasks that ended in its 30 seconds one was canceled, and rejections were no work.
    assert batch["rate"] == pytest.approx(6 / 30, rel=0.1)
    left = datetime.fromisoformat(batch["eta"]) - datetime.fromisoformat(batch["created_at"])
    assert left.total_seconds() == pytest.approx(30 + 3 / batch["rate"], abs=1)
    assert batch["finished_at"] is None
    assert int(answer.headers["retry-after"]) >= 1


async def test_the_rate_is_of_the_last_minute(api: Api) -> None:
    path = batch_with(api, [R.QUEUED, R.CONNECTED, R.CONNECTED], age=100)
    batch_id = path.rpartition("/")[2]
    assert ((await data_of(api, path))["rate"], (await data_of(api, path))["eta"]) == (0.0, None)

    end_row(api.database, batch_id, 1)
    path = batch_with(api, [R.QUEUED] * 4, age=100)
    for row in (1, 2, 3):
        end_row(api.database, path.rpartition("/")[2], row)

    assert (await data_of(api, path))["rate"] == 3 / 60


async def test_a_batch_that_is_over(api: Api) -> None:
    path = batch_with(api, OVER)

    answer = await api.get(path)

    batch = answer.json()["data"]
    assert "retry-after" not in answer.headers
    assert (batch["status"], batch["rate"], batch["eta"], batch["waits_for"]) == ("finished", None, None, None)
    took = datetime.fromisoformat(batch["finished_at"]) - datetime.fromisoformat(batch["created_at"])
    assert took.total_seconds() == 10


async def test_a_batch_of_nothing_but_refused_rows_is_over(api: Api) -> None:
    batch = await data_of(api, batch_with(api, [R.REJECTED] * 3))

    assert (batch["status"], batch["counts"]["rejected"], batch["causes"]) == ("finished", 3, {"required": 3})
    assert batch["finished_at"] == batch["created_at"]


async def test_what_it_waits_for_is_told_while_it_waits(api: Api) -> None:
    waits_for = {"reason": "rate_limit", "host": "pds.test", "budget": "3000/300", "until": "2026-11-23T10:00:00.000Z"}
    running, over = batch_with(api, [R.QUEUED]), batch_with(api, [R.CONNECTED])
    with api.database.write() as connection:
        connection.execute(update(connect_batches).values(waits_for=waits_for))

    assert (await data_of(api, running))["waits_for"] == waits_for
    assert (await data_of(api, over))["waits_for"] is None


@pytest.mark.parametrize("below", ["", "/results", "/events", "/cancel"])
@pytest.mark.parametrize("whose", ["unknown", "no id", "foreign", "still arriving"])
async def test_what_is_no_batch_of_the_caller_is_not_there(api: Api, below: str, whose: str) -> None:
    match whose:
        case "foreign":
            other = make_tenant(api.database)
            batch_id = insert_batch(api.database, other, [R.QUEUED])
        case "still arriving":
            batch_id = insert_batch(api.database, api.tenant, [R.QUEUED], accepted=False)
        case _:
            batch_id = "cb_unknown" if whose == "unknown" else "%00'"
    method = "POST" if below == "/cancel" else "GET"

    for accept in ("application/json", "text/csv"):
        answer = await api.client.request(
            method, f"/v1/connect/batches/{batch_id}{below}", headers=api.key | {"Accept": accept}
        )
        error_of(answer, 404)
    if whose in {"foreign", "still arriving"}:
        assert stored_row(api.database, batch_id, 1)["status"] == "queued"


async def test_a_key_is_needed(api: Api) -> None:
    path = batch_with(api, [R.QUEUED])

    for below in ("", "/results", "/events"):
        error_of(await api.client.get(path + below), 401)
    error_of(await api.client.post(f"{path}/cancel"), 401)


async def test_results_are_in_input_order_with_all_there_is_to_say(api: Api) -> None:
    answer = await api.get(f"{batch_with(api, ALL)}/results")

    assert answer.headers["vary"] == "Accept"
    body = BatchResultsAnswer.model_validate(answer.json(), extra="forbid")
    assert [(row.row, row.external_ref, row.status) for row in body.data] == [
        (number, f"ref-{number}", status) for number, status in enumerate(ALL, 1)
    ]
    assert answer.json()["meta"] == {"limit": 100, "next_cursor": None, "has_more": False}
    by_status = {row["status"]: row for row in answer.json()["data"]}
    connected, rejected = by_status["connected"], by_status["rejected"]
    assert connected["account"] == account(4).model_dump(mode="json")
    assert (connected["error"], connected["attempts"], "line" in connected) == (None, 1, False)
    assert (rejected["task_id"], rejected["line"], rejected["attempts"]) == (None, 10, 0)
    assert rejected["finished_at"] is not None
    assert [issue["code"] for issue in rejected["error"]["issues"]] == ["required", "too_long"]
    assert by_status["already_connected"]["error"]["details"] == {"account_id": "sa_5"}
    statuses = {status: row["error"] and row["error"]["http_status"] for status, row in by_status.items()}
    assert statuses == {
        "queued": None,
        "running": None,
        "retrying": 500,
        "connected": None,
        "already_connected": 409,
        "failed": 401,
        "expired": 504,
        "canceled": 409,
        "rejected": 422,
    }


async def pages(api: Api, path: str, limit: int, query: str = "") -> list[list[int]]:
    found, cursor = [], ""
    while True:
        body = (await api.get(f"{path}/results?limit={limit}{query}{cursor}")).json()
        found.append([row["row"] for row in body["data"]])
        assert body["meta"]["has_more"] == (body["meta"]["next_cursor"] is not None)
        if not body["meta"]["has_more"]:
            return found
        cursor = f"&cursor={body['meta']['next_cursor']}"


async def test_pages_follow_one_another(api: Api) -> None:
    path = batch_with(api, ALL * 3)

    assert await pages(api, path, 10) == [[*range(1, 11)], [*range(11, 21)], [*range(21, 28)]]
    assert await pages(api, path, 9) == [[*range(1, 10)], [*range(10, 19)], [*range(19, 28)]]
    assert await pages(api, path, 4, "&status=failed,rejected") == [[6, 9, 15, 18], [24, 27]]
    assert await pages(api, path, 4, "&status=rejected") == [[9, 18, 27]]
    assert await pages(api, path, 2, "&status=already_connected") == [[5, 14], [23]]
    assert await pages(api, batch_with(api, [R.QUEUED]), 4, "&status=failed") == [[]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("cursor=", "cursor"),
        ("cursor=5", "cursor"),
        ("cursor=r-1", "cursor"),
        ("cursor=rffffffffff", "cursor"),
        ("cursor=r1%0A", "cursor"),
        ("status=", "status"),
        ("status=succeeded", "status"),
        ("status=failed,", "status"),
    ],
)
async def test_what_a_page_cannot_be_asked_by_is_told(api: Api, query: str, field: str) -> None:
    error = error_of(await api.get(f"{batch_with(api, ALL)}/results?{query}"), 422)

    assert [issue["field"] for issue in error["issues"]] == [field]


async def test_the_whole_as_ndjson(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_results._ROWS_AT_ONCE", 4)
    path = batch_with(api, ALL)

    answer = await api.get(f"{path}/results", Accept="application/x-ndjson")

    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["content-disposition"] == f'attachment; filename="{path.rpartition("/")[2]}.ndjson"'
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert rows == (await api.get(f"{path}/results")).json()["data"]
    assert all(BatchResult.model_validate(row, extra="forbid") for row in rows)


async def test_the_whole_as_csv(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_results._ROWS_AT_ONCE", 4)
    path = batch_with(api, ALL)
    reference = '=1+1,"two"\r\nlines'
    with api.database.write() as connection:
        connection.execute(update(connect_tasks).where(connect_tasks.c.batch_row == 4).values(external_ref=reference))

    answer = await api.get(f"{path}/results?status=connected,already_connected,rejected", Accept="text/csv")

    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"].endswith('.csv"')
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert ",".join(header) == (
        "row,line,external_ref,status,account_id,account_name,external_account_id,code,issue,message,finished_at"
    )
    at = rows[0][-1]
    assert datetime.fromisoformat(at).tzinfo is not None
    text = "This account is already connected in this workspace."
    assert [row[:-1] for row in rows] == [
        ["4", "", reference, "connected", "sa_4", "h4.test", "did:plc:4", "", "", ""],
        ["5", "", "ref-5", "already_connected", "", "", "", "ACCOUNT_ALREADY_CONNECTED", "", text],
        ["9", "10", "ref-9", "rejected", "", "", "", "VALIDATION_ERROR", "required", "handle is required."],
    ]


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
async def test_no_text_of_strangers_begins_a_formula(api: Api, begin: str) -> None:
    path = batch_with(api, [R.CONNECTED, R.FAILED])
    named = account(1).model_dump(mode="json") | {"account_name": f"{begin}cmd", "external_account_id": f"{begin}did"}
    refused = {"code": "UNAUTHORIZED", "normalized_code": "unauthorized", "message": f"{begin}no"}
    with api.database.write() as connection:
        for row, outcome in ((1, {"account": named}), (2, {"error": refused})):
            connection.execute(update(connect_tasks).where(connect_tasks.c.batch_row == row).values(outcome=outcome))

    answer = await api.get(f"{path}/results", Accept="text/csv")

    _, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert (rows[0][5], rows[0][6], rows[1][9]) == (f"'{begin}cmd", f"'{begin}did", f"'{begin}no")


async def test_cancelling_ends_what_has_not_begun(api: Api) -> None:
    path = batch_with(api, ALL)
    batch_id = path.rpartition("/")[2]

    answer = await api.client.post(f"{path}/cancel", headers=api.key)

    batch = answer.json()["data"]
    assert (answer.status_code, batch["status"], "retry-after" in answer.headers) == (200, "canceling", True)
    assert batch["counts"] == dict.fromkeys(ALL, 1) | {"queued": 0, "retrying": 0, "canceled": 3}
    assert batch["canceled_at"] is not None
    for number in (1, 3):
        row = stored_row(api.database, batch_id, number)
        assert (row["status"], row["cause"], row["sealed_credentials"], row["sealing_key"]) == (
            "failed",
            "canceled",
            None,
            None,
        )
        assert (row["fingerprint"], row["dispatch_at"], row["finished_at"] is not None) == (b"", None, True)
        assert row["outcome"]["error"]["code"] == "CANCELED"
    assert stored_row(api.database, batch_id, 2)["sealed_credentials"] is not None

    end_row(api.database, batch_id, 2)

    over = await data_of(api, path)
    assert (over["status"], over["counts"]["connected"], over["canceled_at"]) == (
        "canceled",
        2,
        batch["canceled_at"],
    )
    again = await api.client.post(f"{path}/cancel", headers=api.key)
    assert again.json()["data"] == over


async def test_a_batch_that_is_over_cannot_be_canceled(api: Api) -> None:
    path = batch_with(api, OVER)
    before = await data_of(api, path)

    answer = await api.client.post(f"{path}/cancel", headers=api.key)

    assert (answer.status_code, answer.json()["data"]) == (200, before)
    assert before["status"] == "finished"


async def test_events_tell_the_end_and_a_browser_that_comes_again_is_sent_away(api: Api) -> None:
    path = batch_with(api, OVER)

    stream = await api.get(f"{path}/events")

    assert stream.headers["content-type"].startswith("text/event-stream")
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store", "no")
    retry, progress, end, rest = stream.text.split("\n\n")
    assert (retry, rest) == ("retry: 2000", "")
    name, data = end.split("\n")[1:]
    assert name == "event: end"
    assert json.loads(data.removeprefix("data: ")) == await data_of(api, path)
    progress_id, end_id = (event.split("\n")[0].removeprefix("id: ") for event in (progress, end))
    assert (await api.get(f"{path}/events", **{"Last-Event-ID": end_id})).status_code == 204
    missed = await api.get(f"{path}/events", **{"Last-Event-ID": progress_id})
    assert missed.text.split("\n\n")[1:] == [end, ""]


async def test_events_come_as_rows_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_events.POLL_SECONDS", 0.01)
    path = batch_with(api, [R.QUEUED, R.QUEUED])

    stream = asyncio.create_task(api.get(f"{path}/events"))
    await until(lambda: len(api.shim.batch_events) == 1)
    for row in (1, 2):
        end_row(api.database, path.rpartition("/")[2], row)
    text = (await asyncio.wait_for(stream, 10)).text

    assert text.count("event: end\n") == 1
    assert json.loads(text.split("data: ")[-1])["counts"]["connected"] == 2
    assert len(api.shim.batch_events) == 0


async def test_more_listeners_than_there_is_room_for_are_told_to_poll(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.shim.batch_events, "_capacity", 0)

    answer = await api.get(f"{batch_with(api, [R.QUEUED])}/events")

    assert "poll" in error_of(answer, 503)["message"]
    assert "retry-after" in answer.headers
