"""What is traced of a request: one span for all of it, what is done for it below, and where the worker goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from connections.errors import CredentialsRejected
from connections.models import connect_tasks
from connections.settings import Settings
from tests.doubles import until
from tests.spans import InMemory, recorded
from tests.unit.api_shim.conftest import Api

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLERS = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    return Settings(
        var_dir=tmp_path / "var",
        database_url=sqlite_url,
        redis_url="redis://127.0.0.1:1/0",
        sync_wait_seconds=10,
        traces=True,
    )


@pytest.fixture
def memory() -> Iterator[InMemory]:
    with recorded() as memory:
        yield memory


def traceparents(api: Api) -> list[str | None]:
    with api.database.read() as connection:
        return list(connection.execute(select(connect_tasks.c.traceparent)).scalars())


async def test_a_connect_call_is_a_span_with_its_parts_below(memory: InMemory, api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    answer = await api.connect()

    request = memory.spans.only("POST /v1/accounts/connect")
    assert (request.kind, request.parent) == ("SERVER", "")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/accounts/connect",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "connector.request.id": answer.headers["x-request-id"],
    }
    below = memory.spans.below(request)
    assert sorted(below.names) == ["await outcome", "publish connect", "task accept"]
    assert below.only("publish connect").kind == "PRODUCER"
    assert below.only("task accept").attributes == {"connector.task.id": api.queue.sent[0], "connector.joined": False}
    assert below.only("await outcome").attributes == {"connector.outcome": "succeeded"}
    assert traceparents(api) == [request.traceparent]


async def test_the_wait_ends_with_the_outcome_or_without(memory: InMemory, api: Api) -> None:
    api.queue.on_send = lambda task_id: api.worker.fail(task_id, CredentialsRejected())
    await api.connect()
    api.queue.on_send = lambda _: None
    await api.connect(prefer="wait=1")

    waits = memory.spans.named("await outcome")
    assert [wait.attributes["connector.outcome"] for wait in waits] == ["failed", "unknown"]
    requests = memory.spans.named("POST /v1/accounts/connect")
    assert [request.attributes["http.response.status_code"] for request in requests] == [401, 202]
    assert not any(span.has_failed for span in memory.spans)


async def test_who_joins_a_task_is_told_in_their_own_trace(memory: InMemory, api: Api) -> None:
    first = asyncio.create_task(api.connect())
    await until(lambda: len(api.queue.sent) == 1)
    second = asyncio.create_task(api.connect())
    await until(lambda: api.waiting_for(api.queue.sent[0]) == 2)
    await asyncio.to_thread(api.worker.succeed, api.queue.sent[0])
    await asyncio.gather(first, second)

    accepts = memory.spans.named("task accept")
    assert [accept.attributes["connector.joined"] for accept in accepts] == [False, True]
    assert len({accept.attributes["connector.task.id"] for accept in accepts}) == 1
    assert traceparents(api)[0] in {span.traceparent for span in memory.spans if span.trace == accepts[0].trace}


CALLERS_SAY: dict[str, tuple[list[str], bool]] = {
    "one": ([CALLERS], True),
    "two": ([CALLERS, CALLERS], False),
    "nonsense": (["00-abcd-efgh-2345-wxyz"], False),
}


@pytest.mark.parametrize(("sent", "is_believed"), CALLERS_SAY.values(), ids=CALLERS_SAY)
async def test_a_callers_own_trace_goes_on_here(memory: InMemory, api: Api, sent: list[str], is_believed: bool) -> None:
    headers = [*api.key.items(), *(("traceparent", one) for one in sent)]
    await api.client.get("/v1/connect/tasks/ct_1", headers=headers)

    request = memory.spans.only("GET /v1/connect/tasks/{task_id}")
    assert ((request.trace, request.parent) == (TRACE, SPAN)) is is_believed
    assert request.parent == (SPAN if is_believed else "")


async def test_a_caller_who_records_nothing_has_no_spans_and_the_worker_is_told(memory: InMemory, api: Api) -> None:
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-00", "Prefer": "respond-async"}
    await api.client.post("/v1/accounts/connect", json=BODY, headers=api.key | headers)

    (traceparent,) = traceparents(api)
    assert traceparent is not None
    assert (traceparent[:36], traceparent[-2:]) == (f"00-{TRACE}-", "00")
    assert memory.spans == []


BODY: dict[str, Any] = {
    "platform": "bluesky",
    "credentials": {"handle": "alice.test", "app_password": "canary-password"},
}


async def test_an_address_is_told_by_its_route_or_not_at_all(memory: InMemory, api: Api) -> None:
    await api.get("/v1/connect/tasks/canary-password?wait=0")
    await api.get("/v1/canary-password")
    await api.client.request("CANARY", "/v1/accounts/connect")

    assert memory.spans.names == ["GET /v1/connect/tasks/{task_id}", "GET", "HTTP /v1/accounts/connect"]
    assert [span.attributes["http.response.status_code"] for span in memory.spans] == [404, 404, 405]
    assert memory.spans[2].attributes["http.request.method"] == "_OTHER"
    assert not any("canary" in str(span).lower() for span in memory.spans)


async def test_what_fails_is_marked(memory: InMemory, api: Api) -> None:
    api.queue.is_down = True
    answer = await api.connect()

    assert answer.status_code == 503
    assert {span.name: span.attributes.get("error.type") for span in memory.spans if span.has_failed} == {
        "publish connect": "queue_unavailable",
        "POST /v1/accounts/connect": "503",
    }


async def test_nobody_traces_the_questions_of_machines(memory: InMemory, api: Api) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert (await api.get(path)).status_code == 200

    assert memory.spans == []


async def test_the_rows_of_a_batch_know_its_request(memory: InMemory, api: Api) -> None:
    body = b"handle,app_password\nalice.test,canary-password\nbob.test,canary-password\n"
    answer = await api.client.post("/v1/connect/batches", content=body, headers=api.key | {"Content-Type": "text/csv"})

    request = memory.spans.only("POST /v1/connect/batches")
    assert traceparents(api) == [request.traceparent] * 2
    below = memory.spans.below(request)
    assert sorted(below.names) == ["batch accept", "publish connect.control"]
    assert below.only("batch accept").attributes == {
        "connector.batch.id": answer.json()["data"]["id"],
        "connector.rows": 2,
    }


async def test_without_a_tracer_nothing_is_noted(api: Api) -> None:
    await api.connect(prefer="respond-async")

    assert traceparents(api) == [None]
