"""One trace from the request through the queue to the upstream calls and back, between real processes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from connections.migrate import upgrade
from connections.models import connect_tasks
from connections.sqltime import from_now
from sandbox.client import SandboxAccount
from sandbox.faults import Delay, Status
from sandbox.process import SandboxProcess
from tests.e2e.stack import Service, body, running_service
from tests.processes import running, worker_command
from tests.servers import Valkey, running_valkey, wait_until
from tests.spans import Collector, Seen, Spans, collecting

CONNECT = "/v1/accounts/connect"
LOGIN = "com.atproto.server.createSession"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLERS_SPAN = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
REQUEST = f"POST {CONNECT}"
ATTEMPT = "connect attempt"
UPSTREAM = f"POST /xrpc/{LOGIN}"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def valkey_of_traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with running_valkey(tmp_path_factory.mktemp("valkey_of_traces")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, valkey_of_traces: Valkey, sandbox: SandboxProcess, collector: Collector
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("traced_service")
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    with running_service(directory, url, valkey_of_traces, sandbox, collector.environment) as service:
        yield service


@pytest.fixture
def service(traced: Service) -> Service:
    return traced


def exported(collector: Collector, name: str, task_id: str, *, times: int = 1) -> Spans:
    """All spans, once so many of this name have come that belong to the task."""
    wait_until(lambda: len(collector.spans.named(name).of_task(task_id)) == times, what=f"{times} of {name}")
    return collector.spans


def ended(service: Service, client: httpx.Client, location: str) -> str:
    """The id of the task, which has succeeded."""
    task = client.get(location, params={"wait": 40}).json()["data"]
    assert task["status"] == "succeeded", task
    return str(task["id"])


def polled(client: httpx.Client, account: SandboxAccount) -> str:
    """Where the task is that connects the account."""
    sent = body(account.handle, account.app_password)
    headers = {"Prefer": "respond-async"}
    return str(client.post(CONNECT, json=sent, headers=headers).headers["location"])


def test_one_trace_leads_from_the_caller_through_both_processes_to_the_account(
    service: Service, client: httpx.Client, account: SandboxAccount, collector: Collector
) -> None:
    answer = client.post(CONNECT, json=body(account.handle, account.app_password), headers=CALLERS_SPAN)
    assert answer.status_code == 201, answer.text

    wait_until(lambda: collector.spans.named(REQUEST), what="the request's span")
    request = collector.spans.only(REQUEST)
    wait_until(lambda: len(collector.spans.below(request)) == 4, what="its parts")
    spans = collector.spans
    assert (request.service, request.trace, request.parent) == ("connector-api", TRACE, CALLER)
    assert sorted(spans.below(request).names) == ["await outcome", ATTEMPT, "publish connect", "task accept"]
    assert spans.below(request).only("await outcome").attributes["connector.outcome"] == "succeeded"
    attempt = spans.below(request).only(ATTEMPT)
    assert (attempt.service, attempt.attributes["connector.outcome"]) == ("connector-worker", "succeeded")
    assert spans.below(attempt).names == [
        "GET /xrpc/com.atproto.identity.resolveHandle",
        "GET /{did}",
        UPSTREAM,
        "settle",
        "announce",
    ]
    login = spans.below(attempt).only(UPSTREAM)
    assert (login.kind, login.attributes["http.response.status_code"]) == ("CLIENT", 200)
    assert (login.attributes["server.address"], login.attributes["server.port"]) == address_of(sandbox_url(service))
    lines = [line for line in service.log.read_text().splitlines() if TRACE in line]
    assert any("connect_accepted" in line for line in lines)
    assert any("account_connected" in line for line in lines)


def sandbox_url(service: Service) -> httpx.URL:
    return httpx.URL(service.environment["CONNECTOR_DEV_PDS_URL"])


def address_of(url: httpx.URL) -> tuple[str, int | None]:
    return url.host, url.port


def test_a_second_attempt_is_in_the_same_trace(
    service: Service, client: httpx.Client, account: SandboxAccount, collector: Collector, sandbox: SandboxProcess
) -> None:
    sandbox.control.order(Status(status=503, method=LOGIN, account=account.did, times=1))
    task_id = ended(service, client, polled(client, account))

    spans = exported(collector, ATTEMPT, task_id, times=2)
    first, second = sorted(spans.named(ATTEMPT).of_task(task_id), key=lambda span: span.attributes["connector.attempt"])
    request = request_of(first, collector)
    assert (first.parent, first.trace) == (second.parent, second.trace) == (request.id, request.trace)
    assert [one.attributes["connector.outcome"] for one in (first, second)] == ["retrying", "succeeded"]
    statuses = [spans.below(one).only(UPSTREAM).attributes["http.response.status_code"] for one in (first, second)]
    assert statuses == [503, 200]
    assert first.has_failed


def request_of(attempt: Seen, collector: Collector) -> Seen:
    """What the attempt is below. Another process tells of it, maybe later."""

    def found() -> list[Seen]:
        return [span for span in collector.spans if (span.trace, span.id) == (attempt.trace, attempt.parent)]

    wait_until(found, what="the request's span")
    (request,) = found()
    assert (request.name, request.service) == (REQUEST, "connector-api")
    return request


def test_what_a_killed_worker_had_in_hand_is_swept_and_done_in_the_same_trace(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    sandbox.control.order(Delay(after=30, method=LOGIN, account=account.did, times=1))
    with (
        collecting() as collector,
        running_valkey(tmp_path) as valkey,
        running_service(tmp_path, sqlite_url, valkey, sandbox, collector.environment) as service,
    ):
        client = service.client(service.tenant())
        location = polled(client, account)
        wait_until(lambda: sandbox.control.count(LOGIN, identifier=account.did), what="the login")
        service.processes["worker"].kill()
        end_leases(service)
        with running(worker_command(), environment=service.environment, log=service.log):
            task_id = ended(service, client, location)
            spans = exported(collector, ATTEMPT, task_id)

    (attempt,) = spans.named(ATTEMPT).of_task(task_id)
    request = request_of(attempt, collector)
    assert attempt.attributes["connector.attempt"] == 2
    assert spans.below(request).named("sweep").of_task(task_id)
    assert spans.below(attempt).named(UPSTREAM)


def end_leases(service: Service) -> None:
    """As if they had run out."""
    with service.database.write() as connection:
        connection.execute(update(connect_tasks).values(available_at=from_now(), sweep_at=from_now()))


def test_a_row_of_a_batch_is_linked_to_the_batchs_request(
    service: Service, client: httpx.Client, account: SandboxAccount, collector: Collector
) -> None:
    rows = f"handle,app_password\n{account.handle},{account.app_password}\n"
    answer = client.post("/v1/connect/batches", content=rows, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 202, answer.text
    batch_id = answer.json()["data"]["id"]
    wait_until(
        lambda: rows_of(collector, batch_id) and collector.spans.named("POST /v1/connect/batches"), what="its spans"
    )

    (row,) = rows_of(collector, batch_id)
    message = message_of(row, collector)
    spans = collector.spans
    (request,) = (span for span in spans if span.link == row.links[0])
    assert (request.name, request.service) == ("POST /v1/connect/batches", "connector-api")
    assert spans.below(request).only("batch accept").attributes["connector.batch.id"] == batch_id
    assert (message.service, message.parent, message.links) == ("connector-worker", "", row.links)
    assert spans.below(row).only(UPSTREAM).attributes["http.response.status_code"] == 200


def rows_of(collector: Collector, batch_id: str) -> Spans:
    found = collector.spans.named(ATTEMPT)
    return Spans(span for span in found if span.attributes.get("connector.batch.id") == batch_id)


def message_of(row: Seen, collector: Collector) -> Seen:
    """What the row came with; it ends after it."""

    def found() -> list[Seen]:
        return [
            span for span in collector.spans.named("connect rows") if (span.trace, span.id) == (row.trace, row.parent)
        ]

    wait_until(found, what="the message's span")
    return found()[0]


def test_without_the_setting_nothing_is_imported_and_nobody_called(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    with collecting() as collector, running_valkey(tmp_path) as valkey:
        # Every import is a line in the log.
        variables = {**collector.environment, "CONNECTOR_TRACES": "false", "PYTHONPROFILEIMPORTTIME": "1"}
        with running_service(tmp_path, sqlite_url, valkey, sandbox, variables) as service:
            client = service.client(service.tenant())
            assert client.post(CONNECT, json=body(account.handle, account.app_password)).status_code == 201
    imported = service.log.read_text()

    assert (collector.bodies, collector.asked.is_set()) == ([], False)
    assert "connections.tracing" in imported
    assert "connections.otel" not in imported
    # redis looks whether there is a part of the SDK that counts; nothing that traces or exports is looked at.
    assert "opentelemetry.sdk.trace" not in imported
    assert "opentelemetry.exporter" not in imported
    assert "trace_id" not in imported


def test_a_collector_that_keeps_silent_holds_nobody_up(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    with (
        collecting(is_silent=True) as collector,
        running_valkey(tmp_path) as valkey,
        running_service(tmp_path, sqlite_url, valkey, sandbox, collector.environment) as service,
    ):
        client = service.client(service.tenant())
        assert client.post(CONNECT, json=body(account.handle, account.app_password)).status_code == 201
        wait_until(collector.asked.is_set, what="the collector to be asked")
        for process in service.processes.values():
            process.terminate()
        # Before whoever runs them would kill them: 15 seconds after the grace period, which nobody needs here. (The API
        # ends by the signal, when all else has ended.)
        ends = {name: process.wait(15) for name, process in service.processes.items()}
        assert ends == {"worker": 0, "beat": 0, "api": -signal.SIGTERM}


def test_what_is_left_at_the_end_is_exported(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    with collecting() as collector, running_valkey(tmp_path) as valkey:
        variables = {**collector.environment, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        with running_service(tmp_path, sqlite_url, valkey, sandbox, variables) as service:
            client = service.client(service.tenant())
            assert client.post(CONNECT, json=body(account.handle, account.app_password)).status_code == 201
            assert collector.bodies == []
        spans = collector.spans

    request = request_of(spans.only(ATTEMPT), collector)
    assert sorted(spans.below(request).names) == ["await outcome", ATTEMPT, "publish connect", "task accept"]
