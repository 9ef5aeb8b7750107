"""`Idempotency-Key`, from the caller's side."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from connections.errors import (
    ConnectorError,
    CredentialsRejected,
    HandleNotFound,
    TaskExpired,
    UpstreamFailed,
    UpstreamRateLimited,
)
from connections.models import connect_tasks
from connections.outcome import Outcome
from tests.doubles import until
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import BODY, Api
from tests.unit.api_shim.shapes import error_of

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


async def connect(api: Api, key: str = KEY, *, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    return await api.client.post(
        "/v1/accounts/connect", json=BODY | changes, headers=api.key | {"Idempotency-Key": key} | (headers or {})
    )


async def test_a_success_is_answered_again_byte_for_byte(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    first = await connect(api)
    again = await connect(api, headers={"X-Request-Id": "another"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["x-request-id"] == again.json()["request_id"] == first.json()["request_id"]
    assert len(api.queue.sent) == 1


@pytest.mark.parametrize("error", [CredentialsRejected(), HandleNotFound(), UpstreamFailed()], ids=repr)
async def test_a_failure_is_answered_again_byte_for_byte(api: Api, error: Any) -> None:
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, error)
    first, again = await connect(api), await connect(api)

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert len(api.queue.sent) == 1


WAITS: dict[str, tuple[ConnectorError, float | None]] = {
    "as long as the limit says": (UpstreamRateLimited(), 40),
    "for an unknown limit": (UpstreamRateLimited(), None),
    "for a server to recover": (UpstreamFailed(), 40),
    "a moment": (TaskExpired(), None),
}


@pytest.mark.parametrize(("error", "seconds"), WAITS.values(), ids=WAITS)
async def test_when_the_wait_is_over_nobody_is_told_to_wait(api: Api, error: ConnectorError, seconds: float) -> None:
    retry_at = seconds and datetime.now(UTC) + timedelta(seconds=seconds)
    outcome = Outcome.of_error(error.describe(), retry_at or None)
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, error, outcome)
    first = await connect(api)
    a_minute_passes(api)
    again = await connect(api)

    assert int(first.headers["retry-after"]) >= 1
    assert "retry-after" not in again.headers
    assert (first.status_code, first.content) == (again.status_code, again.content)


def a_minute_passes(api: Api) -> None:
    """For the only task."""
    earlier = timedelta(seconds=61)
    task = api.shim.service.finished(api.queue.sent)[0]
    assert task.finished_at is not None
    outcome = Outcome.from_row(task.outcome)
    outcome = outcome.model_copy(update={"retry_at": outcome.retry_at and outcome.retry_at - earlier})
    with api.database.write() as connection:
        connection.execute(
            update(connect_tasks).values(finished_at=task.finished_at - earlier, outcome=outcome.to_row())
        )


async def test_a_key_that_was_used_for_another_body_is_refused(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    first = await connect(api)
    refused = await connect(api, credentials={"handle": "bob.test", "app_password": "canary-password"})

    assert error_of(refused, 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert refused.json()["request_id"] != first.json()["request_id"]
    assert len(api.queue.sent) == 1


async def test_repetitions_in_flight_wait_for_the_first(api: Api) -> None:
    first = asyncio.create_task(connect(api))
    await until(lambda: len(api.queue.sent) == 1)
    again = asyncio.create_task(connect(api))
    await until(lambda: api.waiting_for(api.queue.sent[0]) == 2)
    api.worker.succeed(api.queue.sent[0])

    assert (await first).content == (await again).content
    assert len(api.queue.sent) == 1


async def test_who_came_too_early_gets_the_answer_later(api: Api) -> None:
    pending = await connect(api, headers={"Prefer": "respond-async"})
    api.worker.succeed(api.queue.sent[0])
    settled = await connect(api)

    assert (pending.status_code, settled.status_code) == (202, 201)
    assert len(api.queue.sent) == 1


async def test_what_was_refused_before_there_was_a_task_uses_no_key(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    refused = await connect(api, platform="myspace")
    good = await connect(api)

    assert (refused.status_code, good.status_code) == (422, 201)


async def test_a_key_belongs_to_its_workspace(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    first = await connect(api)
    other = make_tenant(api.database)
    second = await connect(api, headers={"Authorization": f"Bearer {other.key}"})

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_quotes_are_the_drafts_way_to_write_the_same_key(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    first, again = await connect(api, "one"), await connect(api, '"one"')

    assert first.content == again.content


BAD = ["", '"', '""', "two words", 'half"', '"half', "ä".encode("latin-1").decode("latin-1"), "x" * 256, "tab\there"]


@pytest.mark.parametrize("key", BAD)
async def test_what_is_no_key_is_refused_and_not_repeated(api: Api, key: str) -> None:
    headers = {name.encode(): value.encode() for name, value in api.key.items()}
    answer = await api.client.post(
        "/v1/accounts/connect", json=BODY, headers=headers | {b"Idempotency-Key": key.encode("latin-1")}
    )

    error = error_of(answer, 400)
    assert error["code"] == "BAD_REQUEST"
    assert "Idempotency-Key" in error["message"]
    assert api.queue.sent == []


async def test_two_keys_are_none(api: Api) -> None:
    headers = [*api.key.items(), ("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    answer = await api.client.post("/v1/accounts/connect", json=BODY, headers=headers)

    assert answer.status_code == 400
