"""Health, readiness, metrics, and the documentation."""

import re
from typing import Any

import pytest

from api_shim.errors import STATUS
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


async def test_the_documentation_loads_nothing_from_elsewhere(api: Api) -> None:
    page = (await api.client.get("/docs")).text

    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(links) >= 3
    for link in links:
        assert (await api.client.get(link)).status_code == 200
    assert "//" not in "".join(links)


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    document: dict[str, Any] = (await api.client.get("/openapi.json")).json()
    return document


BATCH = "/v1/connect/batches/{batch_id}"
STATUSES = {
    ("/v1/accounts/connect", "post"): {201, 202, 400, 401, 405, 409, 413, 415, 422, 429, 500, 503, 504},
    ("/v1/connect/tasks/{task_id}", "get"): {200, 400, 401, 404, 405, 422, 500, 503},
    ("/v1/connect/batches", "post"): {202, 400, 401, 405, 413, 415, 422, 500, 503},
    (BATCH, "get"): {200, 400, 401, 404, 405, 500, 503},
    (f"{BATCH}/results", "get"): {200, 400, 401, 404, 405, 422, 500, 503},
    (f"{BATCH}/events", "get"): {200, 204, 400, 401, 404, 405, 500, 503},
    (f"{BATCH}/cancel", "post"): {200, 400, 401, 404, 405, 500, 503},
    ("/healthz", "get"): {200, 400, 405, 500},
    ("/readyz", "get"): {200, 400, 405, 500, 503},
    ("/metrics", "get"): {200, 400, 405, 500},
}


async def test_every_route_documents_every_status(document: dict[str, Any]) -> None:
    documented = {
        (path, method): {int(status) for status in operation["responses"]}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    assert documented == STATUSES


async def test_every_answer_documents_its_headers_and_an_example(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                assert "X-Request-Id" in response["headers"]
                assert ("Retry-After" in response["headers"]) >= (status in {"202", "429", "503", "504"})
                if status[0] in "45":
                    content = response["content"]["application/json"]
                    assert len(response["content"]) == 1
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
                    codes = {example["value"]["error"]["code"] for example in content["examples"].values()}
                    assert {STATUS[code] for code in codes} == {int(status)}


async def test_keys_are_documented_where_they_are_needed(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert {
        path
        for path, operations in document["paths"].items()
        for operation in operations.values()
        if "security" in operation
    } == {path for path, _method in STATUSES if path.startswith("/v1/")}


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(
        re.findall(r'"\$ref":"#/components/schemas/(\w+)"', (str(document)).replace("'", '"').replace(": ", ":"))
    )

    assert references
    assert references <= set(document["components"]["schemas"])


async def test_the_credentials_aliases_are_documented(document: dict[str, Any]) -> None:
    credentials = document["components"]["schemas"]["BlueskyCredentials"]

    assert set(credentials["properties"]) == {"handle", "identifier", "app_password", "password"}
    ways = credentials["allOf"][0]["anyOf"]
    assert [way["required"] for way in ways] == [["handle"], ["identifier"]]
    assert ways[1]["properties"]["identifier"]["maxLength"] == credentials["properties"]["handle"]["maxLength"]
    assert ways[1]["properties"]["handle"] == {"type": "null"}  # else the alias is not looked at
