"""What a disconnect leaves: nothing here, and nothing at the account's server once that answers."""

import httpx
import pytest
from sqlalchemy import select

from connections.models import accounts
from connections.verified import Session
from sandbox.client import SandboxAccount
from sandbox.faults import Drop
from sandbox.process import SandboxProcess
from tests.e2e.left import Refresh, left_sessions, replace_session
from tests.e2e.stack import Service, body
from tests.servers import wait_until

CONNECT = "/v1/accounts/connect"


@pytest.fixture
def client(any_service: Service) -> httpx.Client:
    return any_service.client(any_service.tenant())


@pytest.fixture
def refresh(sandbox: SandboxProcess) -> Refresh:
    def refresh(token: str) -> Session:
        url = f"{sandbox.pds_url}/xrpc/com.atproto.server.refreshSession"
        answer = httpx.post(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False).raise_for_status()
        return Session(answer.json()["accessJwt"], answer.json()["refreshJwt"])

    return refresh


def connect(client: httpx.Client, account: SandboxAccount) -> str:
    answer = client.post(CONNECT, json=body(account.handle, account.app_password))
    assert answer.status_code == 201, answer.text
    account_id: str = answer.json()["id"]
    return account_id


def stored_tokens(service: Service, account_id: str) -> tuple[bytes | None, bytes | None]:
    query = select(accounts.c.access_token, accounts.c.refresh_token).where(accounts.c.id == account_id)
    with service.database.read() as connection:
        access, refresh = connection.execute(query).one()
    return access, refresh


def test_every_refresh_token_of_the_last_two_hours_is_ended(
    any_service: Service, client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount, refresh: Refresh
) -> None:
    account_id = connect(client, account)
    for _ in range(2):
        replace_session(any_service, account_id, refresh)
    before = sandbox.control.refresh_tokens(account.did)
    assert sorted(token["replaced"] for token in before) == [False, True, True]

    assert client.delete(f"/v1/accounts/{account_id}").status_code == 200

    wait_until(lambda: not sandbox.control.refresh_tokens(account.did), what="the end of all sessions")
    wait_until(lambda: left_sessions(any_service, account_id) == 0, what="their tokens to be erased")
    issued, log = sandbox.control.tokens_issued(), any_service.log.read_text()
    assert not [token for token in issued if token in log]


def test_a_server_that_is_down_keeps_no_token_here_and_loses_the_session_later(
    any_service: Service, client: httpx.Client, sandbox: SandboxProcess, account: SandboxAccount
) -> None:
    account_id = connect(client, account)
    outage = sandbox.control.order(Drop(account=account.did))

    disconnected = client.delete(f"/v1/accounts/{account_id}")

    assert (disconnected.status_code, disconnected.json()["data"]["status"]) == (200, "disconnected")
    assert stored_tokens(any_service, account_id) == (None, None)
    wait_until(lambda: times_struck(sandbox, outage) > 0, what="a try to end the session")
    assert sandbox.control.open_sessions(account.did) == 1

    sandbox.control.cancel(outage)
    anew = connect(client, account)

    assert anew != account_id
    wait_until(lambda: left_sessions(any_service, account_id) == 0, what="the end of the old session", seconds=60)
    assert sandbox.control.open_sessions(account.did) == 1
    assert None not in stored_tokens(any_service, anew)


def times_struck(sandbox: SandboxProcess, order_id: int) -> int:
    return sum(order["struck"] for order in sandbox.control.faults() if order["id"] == order_id)
