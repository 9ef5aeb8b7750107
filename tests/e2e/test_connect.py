"""Connecting over real sockets, processes and queues."""

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from connections.models import accounts
from sandbox.client import SandboxAccount
from sandbox.faults import Delay, Drop, Fault, Garbage, Status
from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import Service, body, running_service
from tests.factories import Tenant
from tests.processes import ROOT
from tests.servers import running_valkey, wait_until

CONNECT = "/v1/accounts/connect"
LOGIN = "com.atproto.server.createSession"
SEVEN = ["id", "profile_id", "platform", "account_name", "status", "connection_type", "connected_at"]


def test_201_carries_the_account_at_the_top_and_under_data(client: httpx.Client, account: SandboxAccount) -> None:
    answer = client.post(CONNECT, json=body(account.handle, account.app_password))
    told = answer.json()

    assert answer.status_code == 201, told
    assert set(told) == {*SEVEN, "data", "request_id"}
    assert {name: told["data"][name] for name in SEVEN} == {name: told[name] for name in SEVEN}
    assert told["data"]["external_account_id"] == account.did
    assert answer.headers["x-request-id"] == told["request_id"]


def test_the_request_id_is_found_again_in_the_workers_log(
    service: Service, client: httpx.Client, account: SandboxAccount
) -> None:
    answer = client.post(
        CONNECT, json=body(account.handle, account.app_password), headers={"X-Request-Id": "find-me-again"}
    )

    assert answer.headers["x-request-id"] == "find-me-again"
    wait_until(
        lambda: re.search(r"account_connected.*find-me-again", service.log.read_text()), what="the line in the log"
    )


def test_a_temporary_failure_is_not_the_callers_affair(
    client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    sandbox.control.order(Status(status=503, method=LOGIN, account=account.did, times=2))
    answer = client.post(CONNECT, json=body(account.handle, account.app_password))

    assert answer.status_code == 201, answer.text
    assert sandbox.control.count(LOGIN, identifier=account.did) == 3


LASTING = {
    "503": Status(status=503, method=LOGIN),
    "connections cut off": Drop(method=LOGIN),
    "a web page": Garbage(method=LOGIN),
}


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_a_failure_that_lasts_is_told_with_its_retries(
    client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount, fault: Fault
) -> None:
    # One success in between, or the failures of these tests together would open the server's circuit.
    other = new_account(sandbox)
    assert client.post(CONNECT, json=body(other.handle, other.app_password)).status_code == 201
    sandbox.control.order(type(fault)(**{**vars(fault), "account": account.did}))
    answer = client.post(CONNECT, json=body(account.handle, account.app_password))
    error = answer.json()["error"]

    assert (answer.status_code, error["code"], error["error_source"]) == (500, "UPSTREAM_ERROR", "platform")
    assert error["error_temporality"] == "temporary"
    assert error["retry_policy"]["retry_state"] == "exhausted"
    attempts = error["retry_policy"]["attempts_made"]
    assert attempts > 1
    assert sandbox.control.count(LOGIN, identifier=account.did) == attempts


def test_a_refusal_is_asked_once(client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount) -> None:
    answer = client.post(CONNECT, json=body(account.handle, "wrong-pass-word-2345"))

    assert answer.status_code == 401
    assert sandbox.control.count(LOGIN, identifier=account.did) == 1


def test_a_caller_who_does_not_wait_polls(client: httpx.Client, account: SandboxAccount) -> None:
    accepted = client.post(
        CONNECT, json=body(account.handle, account.app_password), headers={"Prefer": "respond-async"}
    )
    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    task_url = accepted.headers["location"]
    assert accepted.json()["data"]["id"] == task_url.rsplit("/", 1)[1]

    task = client.get(task_url, params={"wait": 20}).json()["data"]
    assert (task["status"], task["error"], task["attempts"]) == ("succeeded", None, 1)
    assert set(SEVEN) <= set(task["account"])


def test_a_polled_failure_is_the_synchronous_error(client: httpx.Client, account: SandboxAccount) -> None:
    synchronous = client.post(CONNECT, json=body(account.handle, "wrong-pass-word-2345"))
    accepted = client.post(
        CONNECT, json=body(account.handle, "wrong-pass-word-2345"), headers={"Prefer": "respond-async"}
    )
    task = client.get(accepted.headers["location"], params={"wait": 20}).json()["data"]

    assert task["error"].pop("http_status") == synchronous.status_code == 401
    assert task["error"] == synchronous.json()["error"]


def test_a_wait_that_ends_leaves_the_task_running(
    client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    sandbox.control.order(Delay(after=3, method=LOGIN, account=account.did, times=1))
    accepted = client.post(CONNECT, json=body(account.handle, account.app_password), headers={"Prefer": "wait=1"})

    assert accepted.status_code == 202
    assert accepted.json()["data"]["status"] in {"queued", "running"}
    assert int(accepted.headers["retry-after"]) >= 1
    task = client.get(accepted.headers["location"], params={"wait": 20}).json()["data"]
    assert task["status"] == "succeeded"


def test_a_plain_call_that_waits_in_vain_is_told_where_to_look(
    tmp_path: Path, sqlite_url: str, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    sandbox.control.order(Delay(after=4, method=LOGIN, account=account.did, times=1))
    with (
        running_valkey(tmp_path) as valkey,
        running_service(tmp_path, sqlite_url, valkey, sandbox, sync_wait_seconds="1") as service,
    ):
        caller = service.client(service.tenant())
        answer = caller.post(CONNECT, json=body(account.handle, account.app_password))
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (504, "CONNECT_TIMEOUT")
        assert error["retry_policy"]["will_retry"]
        assert answer.headers["location"] == f"/v1/connect/tasks/{error['details']['task_id']}"
        assert int(answer.headers["retry-after"]) >= 1

        task = caller.get(answer.headers["location"], params={"wait": 30}).json()["data"]
        assert task["status"] == "succeeded"


def test_the_sample_of_the_readme_runs(
    service: Service, tenant: Tenant, account: SandboxAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sample,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.setenv("UNIPOST_API_KEY", tenant.key)
    monkeypatch.setenv("CONNECTOR_URL", service.url)
    names: dict[str, Any] = {}
    exec(sample.replace("alice.test", account.handle), names)

    assert names["account"].account_name == account.handle


def test_fifty_callers_for_fifty_accounts(any_service: Service, sandbox: SandboxProcess) -> None:
    tenant = any_service.tenant()
    client = any_service.client(tenant)
    people = [new_account(sandbox) for _ in range(50)]
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda one: client.post(CONNECT, json=body(one.handle, one.app_password)), people))

    assert [answer.status_code for answer in answers] == [201] * 50
    assert [answer.json()["account_name"] for answer in answers] == [one.handle for one in people]
    assert count_accounts(any_service, tenant) == 50


def spellings(handle: str) -> list[str]:
    """Fifty ways to write one handle: each is a request of its own, none can join another."""
    return [
        "".join(letter.upper() if number >> place & 1 else letter for place, letter in enumerate(handle))
        for number in range(50)
    ]


def test_fifty_callers_for_one_account(any_service: Service, sandbox: SandboxProcess) -> None:
    tenant = any_service.tenant()
    client = any_service.client(tenant)
    account = new_account(sandbox)
    with ThreadPoolExecutor(50) as callers:
        answers = list(
            callers.map(
                lambda handle: client.post(CONNECT, json=body(handle, account.app_password)), spellings(account.handle)
            )
        )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    assert count_accounts(any_service, tenant) == 1
    # What the losers of the race had logged in is logged out again.
    wait_until(lambda: sandbox.control.open_sessions(account.did) == 1, what="one session to be left")


def test_fifty_identical_requests(any_service: Service, sandbox: SandboxProcess) -> None:
    tenant = any_service.tenant()
    client = any_service.client(tenant)
    account = new_account(sandbox)
    sent = body(account.handle, account.app_password)
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda _: client.post(CONNECT, json=sent), range(50)))

    created = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    refused = [answer.json()["error"]["details"]["account_id"] for answer in answers if answer.status_code == 409]
    assert len(created) + len(refused) == 50
    assert len({*created, *refused}) == 1
    assert count_accounts(any_service, tenant) == 1


def count_accounts(service: Service, tenant: Tenant) -> int | None:
    with service.database.read() as connection:
        query = select(func.count()).select_from(accounts).where(accounts.c.workspace_id == tenant.workspace_id)
        return connection.execute(query).scalar()


BAD: dict[str, tuple[bytes, int, list[str]]] = {
    "not JSON": (b"handle=alice", 422, ["body"]),
    "an array": (b"[]", 422, ["body"]),
    "null": (b"null", 422, ["body"]),
    "nothing": (b"{}", 422, ["platform", "credentials"]),
    "wrong types": (
        b'{"platform": 7, "credentials": "x", "profile_id": []}',
        422,
        ["profile_id", "platform", "credentials"],
    ),
    "missing fields": (
        b'{"platform": "bluesky", "credentials": {}}',
        422,
        ["credentials.handle", "credentials.app_password"],
    ),
    "empty fields": (json.dumps(body("", "")).encode(), 422, ["credentials.handle", "credentials.app_password"]),
    "unknown platform": (json.dumps(body("a", "b") | {"platform": "myspace"}).encode(), 422, ["platform"]),
    "OAuth platform": (json.dumps(body("a", "b") | {"platform": "twitter"}).encode(), 422, ["platform"]),
    "a megabyte": (json.dumps(body("a" * 1_000_000, "b")).encode(), 413, []),
}


@pytest.mark.parametrize(("sent", "status", "fields"), BAD.values(), ids=BAD)
def test_bad_input_is_told_field_by_field(client: httpx.Client, sent: bytes, status: int, fields: list[str]) -> None:
    answer = client.post(CONNECT, content=sent, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]

    assert answer.status_code == status, error
    assert error["normalized_code"] == error["code"].lower()
    assert [issue["field"] for issue in error.get("issues", [])] == fields


def test_methods_media_types_and_addresses(client: httpx.Client) -> None:
    wrong_method = client.get(CONNECT)
    wrong_type = client.post(CONNECT, content=b"<x/>", headers={"Content-Type": "application/xml"})
    nowhere = client.get("/v1/nowhere")

    for answer, status in ((wrong_method, 405), (wrong_type, 415), (nowhere, 404)):
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert wrong_method.headers["allow"] == "POST"
