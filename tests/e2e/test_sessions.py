"""A live session from connected account to the account's own server, over real sockets, processes and queues."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select, update

from connections.contract import AccountSession
from connections.ids import new_id
from connections.models import accounts, session_requests
from connections.session_requests import AskedSession, SessionRequests
from connections.sqltime import from_now
from connections.vault import EphemeralKey
from sandbox.client import SandboxAccount
from sandbox.faults import Status
from sandbox.process import SandboxProcess
from tests.e2e.conftest import new_account
from tests.e2e.stack import Service, body
from tests.factories import Tenant, make_tenant
from tests.servers import wait_until
from tests.sessions import audited

CONNECT = "/v1/accounts/connect"
REFRESH = "com.atproto.server.refreshSession"


class Publisher:
    """Another service of the operator: it has a key with the scope, and an account is connected."""

    def __init__(self, service: Service, sandbox: SandboxProcess) -> None:
        self.service, self.sandbox = service, sandbox
        self.tenant: Tenant = make_tenant(service.database, scopes="sessions")
        self.account: SandboxAccount = new_account(sandbox)
        self.client = service.client(self.tenant)
        connected = self.client.post(CONNECT, json=body(self.account.handle, self.account.app_password))
        assert connected.status_code == 201, connected.text
        self.account_id: str = connected.json()["id"]

    def ask(self, **wanted: int) -> httpx.Response:
        return self.client.post(f"/internal/accounts/{self.account_id}/session", json=wanted)

    def let_the_token_end(self) -> None:
        """As the service sees it."""
        with self.service.database.write() as connection:
            change = update(accounts).where(accounts.c.id == self.account_id)
            connection.execute(change.values(access_expires_at=from_now(-1)))

    def refreshes(self) -> int:
        """How often its session was refreshed: the tokens that were replaced work for a while."""
        return len(self.sandbox.control.refresh_tokens(self.account.did)) - 1

    def get_session(self, told: dict[str, str]) -> httpx.Response:
        """What the account's server says of whoever has the token."""
        return httpx.get(
            f"{told['service_endpoint']}/xrpc/com.atproto.server.getSession",
            headers={"Authorization": f"Bearer {told['access_token']}"},
            trust_env=False,
        )

    def audited(self) -> list[tuple[str, str | None]]:
        """Outcome and cause of each call."""
        return [
            (entry.outcome, entry.cause)
            for entry in audited(self.service.database)
            if (entry.action, entry.account_id) == ("account.session", self.account_id)
        ]


@pytest.fixture
def publisher(any_service: Service, sandbox: SandboxProcess) -> Publisher:
    return Publisher(any_service, sandbox)


def test_the_token_works_at_the_accounts_server(publisher: Publisher) -> None:
    answer = publisher.ask()

    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert (told["did"], told["handle"]) == (publisher.account.did, publisher.account.handle)
    assert datetime.fromisoformat(told["expires_at"]) > datetime.now(UTC) + timedelta(seconds=300)
    whose = publisher.get_session(told)
    assert (whose.status_code, whose.json()["did"]) == (200, publisher.account.did)
    assert publisher.audited() == [("succeeded", None)]


def test_a_token_that_has_ended_is_refreshed_first(publisher: Publisher) -> None:
    assert publisher.ask().status_code == 200
    assert publisher.refreshes() == 0
    publisher.let_the_token_end()

    told = publisher.ask(min_seconds_left=3600).json()["data"]

    assert publisher.refreshes() == 1
    assert publisher.get_session(told).status_code == 200
    assert publisher.ask().json()["data"]["access_token"] == told["access_token"]  # and kept
    assert publisher.refreshes() == 1


def test_what_refreshes_it_is_not_given_out(publisher: Publisher) -> None:
    publisher.let_the_token_end()
    given = publisher.ask().text

    issued = publisher.sandbox.control.tokens_issued()
    assert len({token for token in issued if token in given}) == 1
    assert "refresh" not in given


def test_an_account_whose_app_password_was_revoked(publisher: Publisher) -> None:
    publisher.let_the_token_end()
    publisher.sandbox.control.order(
        Status(status=400, error="ExpiredToken", method=REFRESH, account=publisher.account.did)
    )

    answer = publisher.ask()

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RECONNECT_REQUIRED"), answer.text
    assert answer.json()["error"]["next_action"] == "reconnect_account"
    assert publisher.audited()[-1] == ("failed", "reconnect_required")


def test_a_server_that_is_down(publisher: Publisher) -> None:
    publisher.let_the_token_end()
    publisher.sandbox.control.order(Status(status=503, method=REFRESH, account=publisher.account.did))

    answer = publisher.ask()

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "UPSTREAM_ERROR"), answer.text
    assert publisher.audited()[-1] == ("failed", "upstream_error")


def test_nothing_is_left_of_it(publisher: Publisher) -> None:
    assert publisher.ask().status_code == 200
    with publisher.service.database.read() as connection:
        left = connection.execute(
            select(session_requests.c.id).where(session_requests.c.account_id == publisher.account_id)
        ).all()
    assert left == []


def test_a_key_of_the_public_api_is_refused(any_service: Service, publisher: Publisher) -> None:
    stranger = any_service.client(any_service.tenant())

    answer = stranger.post(f"/internal/accounts/{publisher.account_id}/session")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")


def test_a_request_whose_message_never_came_is_answered(publisher: Publisher) -> None:
    requests = SessionRequests(publisher.service.database)
    asked = AskedSession(new_id("sq"), publisher.tenant.caller, publisher.account_id, "req_1", 300, EphemeralKey())
    requests.ask(asked, reply_to="shim_of_nobody", wait=25)

    wait_until(lambda: requests.answered([asked.id]), what="an answer")

    answer = requests.take(asked)
    assert isinstance(answer, AccountSession)
    assert publisher.get_session(answer.model_dump(mode="json")).status_code == 200
