"""`GET /v1/connect/tasks/{task_id}`."""

import asyncio
from datetime import datetime
from functools import partial

import pytest

from connections import errors
from connections.errors import CredentialsRejected, UpstreamFailed
from tests.doubles import until
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


async def accept(api: Api) -> str:
    answer = await api.connect(prefer="respond-async")
    return str(answer.json()["data"]["id"])


async def test_a_queued_task(api: Api) -> None:
    answer = await api.get(f"/v1/connect/tasks/{await accept(api)}")

    assert (answer.status_code, answer.headers["retry-after"]) == (200, "1")
    assert answer.json()["data"]["status"] == "queued"


async def test_a_task_that_succeeded_carries_the_account_of_the_201(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    connected = await api.connect()

    answer = await api.get(f"/v1/connect/tasks/{api.queue.sent[0]}")

    task = answer.json()["data"]
    assert "retry-after" not in answer.headers
    assert (task["status"], task["attempts"], task["error"]) == ("succeeded", 1, None)
    assert task["account"] == connected.json()["data"]
    assert task["finished_at"] >= task["created_at"]


async def test_a_task_that_failed_carries_the_error_of_the_answer_and_its_status(api: Api) -> None:
    api.queue.on_send = partial(api.worker.fail, error=CredentialsRejected())
    refused = await api.connect()

    task = (await api.get(f"/v1/connect/tasks/{api.queue.sent[0]}")).json()["data"]

    assert (task["status"], task["account"]) == ("failed", None)
    assert task["error"] == refused.json()["error"] | {"http_status": 401}


async def test_a_retrying_task_tells_its_last_error_and_when_it_goes_on(api: Api) -> None:
    task_id = await accept(api)
    api.worker.postpone(task_id, UpstreamFailed(), delay=200)

    answer = await api.get(f"/v1/connect/tasks/{task_id}")

    task = answer.json()["data"]
    assert (task["status"], task["error"]["code"], task["error"]["http_status"]) == ("retrying", "UPSTREAM_ERROR", 500)
    assert datetime.fromisoformat(task["next_attempt_at"]) > datetime.fromisoformat(task["created_at"])
    assert answer.headers["retry-after"] == "60"  # due in 200 s, but nobody should be sent away for long


async def test_a_long_poll_ends_with_the_task(api: Api) -> None:
    task_id = await accept(api)
    polls = [asyncio.create_task(api.get(f"/v1/connect/tasks/{task_id}?wait=60")) for _ in range(2)]
    await until(lambda: len(api.shim.waiting) == len(polls))
    api.worker.succeed(task_id)

    answers = await asyncio.gather(*polls)

    assert {answer.json()["data"]["status"] for answer in answers} == {"succeeded"}


async def test_a_long_poll_that_ends_first_tells_how_the_task_stands_now(api: Api) -> None:
    task_id = await accept(api)
    poll = asyncio.create_task(api.get(f"/v1/connect/tasks/{task_id}?wait=1"))
    await until(lambda: len(api.shim.waiting) == 1)
    api.worker.claim(task_id)

    assert (await poll).json()["data"]["status"] == "running"


async def test_a_long_poll_without_room_does_not_say_that_nothing_was_stored(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await accept(api)
    monkeypatch.setattr(api.shim.waiting, "_capacity", 0)

    message = error_of(await api.get(f"/v1/connect/tasks/{task_id}?wait=60"), 503)["message"]

    assert "The task is stored and goes on" in message
    assert "Nothing was stored" not in message
    assert (await api.get(f"/v1/connect/tasks/{task_id}")).status_code == 200


WAITS = {"61": "out_of_range", "-1": "out_of_range", "soon": "invalid_type", "": "invalid_type", "1.5": "invalid_type"}


@pytest.mark.parametrize(("wait", "code"), WAITS.items())
async def test_a_wait_that_cannot_be(api: Api, wait: str, code: str) -> None:
    error = error_of(await api.get(f"/v1/connect/tasks/ct_1?wait={wait}"), 422)

    assert error["code"] == "VALIDATION_ERROR"
    assert [(issue["field"], issue["code"]) for issue in error["issues"]] == [("wait", code)]


async def test_another_workspaces_task_is_not_there(api: Api) -> None:
    task_id = await accept(api)
    api.tenant = make_tenant(api.database)

    assert error_of(await api.get(f"/v1/connect/tasks/{task_id}"), 404)["code"] == "NOT_FOUND"


@pytest.mark.parametrize("task_id", ["ct_nowhere", "%00", "é", "a" * 500, "%2e%2e", "ct_1%0d%0aX: y"])
async def test_what_is_no_task_is_not_there(api: Api, task_id: str) -> None:
    error_of(await api.get(f"/v1/connect/tasks/{task_id}?wait=60"), 404)


async def test_an_expired_task(api: Api) -> None:
    task_id = await accept(api)
    api.worker.fail(task_id, errors.TaskExpired())

    task = (await api.get(f"/v1/connect/tasks/{task_id}")).json()["data"]

    assert (task["error"]["code"], task["error"]["http_status"]) == ("CONNECT_TIMEOUT", 504)
