"""Health, readiness and metrics."""

import re

import pytest

from connections import errors
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


async def test_health(api: Api) -> None:
    assert (await api.client.get("/healthz")).json()["data"] == {"process": "ok"}


async def test_ready(api: Api) -> None:
    answer = await api.client.get("/readyz")

    assert (answer.status_code, answer.json()["data"]) == (200, {"database": "ok", "queue": "ok", "worker": "ok"})


async def test_not_ready_without_a_worker(api: Api) -> None:
    api.broker.worker_lives = False

    error = error_of(await api.client.get("/readyz"), 503)

    assert error["details"] == {"database": "ok", "queue": "ok", "worker": "none"}


async def test_not_ready_without_queue_and_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise errors.ServiceUnavailable

    monkeypatch.setattr(api.shim.service, "ping", fail)
    api.broker.is_down = True

    answer = await api.client.get("/readyz")

    assert error_of(answer, 503)["details"] == {"database": "unreachable", "queue": "unreachable", "worker": "unknown"}
    assert int(answer.headers["retry-after"]) >= 1


async def test_metrics_count_by_route_and_never_by_what_callers_make_up(api: Api) -> None:
    await api.get("/v1/connect/tasks/ct_1")
    await api.get("/v1/connect/tasks/ct_2")
    await api.get("/made/up")
    await api.client.request("BREW", "/healthz")

    text = (await api.client.get("/metrics")).text

    assert 'requests_total{method="GET",route="/v1/connect/tasks/{task_id}",status="404"} 2.0' in text
    assert 'requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'requests_total{method="other",route="/healthz",status="405"} 1.0' in text
    assert 'request_seconds_count{method="GET",route="/v1/connect/tasks/{task_id}"} 2.0' in text
    assert "connector_waiting_callers 0.0" in text
    assert 'connector_thread_calls{pool="reading"} 0.0' in text
    assert 'connector_build_info{process="api"' in text
    assert 'connector_database_connections{state="in_use"} 0.0' in text
    assert not re.search("ct_1|made/up|BREW", text)


async def test_the_waiting_are_counted(api: Api) -> None:
    with api.shim.waiting.register("ct_1"), api.shim.waiting.register("ct_1"):
        text = (await api.client.get("/metrics")).text

    assert "connector_waiting_callers 2.0" in text
