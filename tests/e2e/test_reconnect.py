"""Reconnecting an account, over real sockets, processes and queues."""

import httpx
import pytest

from sandbox.client import SandboxAccount
from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import body

CONNECT = "/v1/accounts/connect"


@pytest.fixture
def account_id(client: httpx.Client, account: SandboxAccount) -> str:
    answer = client.post(CONNECT, json=body(account.handle, account.app_password))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_account_keeps_its_id(client: httpx.Client, account: SandboxAccount, account_id: str) -> None:
    path, sent = f"/v1/accounts/{account_id}/reconnect", body(account.handle, account.app_password)
    answer = client.post(path, json={"credentials": sent["credentials"]})

    assert answer.status_code == 200, answer.text
    assert (answer.json()["id"], answer.json()["status"]) == (account_id, "active")
    assert client.post(CONNECT, json=sent).status_code == 409


def test_another_accounts_credentials_are_a_conflict_and_leave_no_session(
    client: httpx.Client, sandbox: SandboxProcess, account_id: str
) -> None:
    other = new_account(sandbox)
    answer = client.post(f"/v1/accounts/{account_id}/reconnect", json=body(other.handle, other.app_password))

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ACCOUNT_MISMATCH"), answer.text
    assert sandbox.control.open_sessions(other.did) == 0


def test_a_wrong_password_leaves_the_account_as_it_is(
    client: httpx.Client, account: SandboxAccount, account_id: str
) -> None:
    sent = body(account.handle, "wrong-pass-word-2345")
    answer = client.post(f"/v1/accounts/{account_id}/reconnect", json=sent)

    assert (answer.status_code, answer.json()["error"]["error_source"]) == (401, "platform")


def test_an_account_that_is_not_there(client: httpx.Client, account: SandboxAccount) -> None:
    sent = body(account.handle, account.app_password)

    for account_id in ("sa_01jd2w8v70e3g5j7m9q1s3v5x7", "sa%20x"):
        answer = client.post(f"/v1/accounts/{account_id}/reconnect", json=sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
