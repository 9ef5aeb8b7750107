"""The whole service against the real PDS and PLC directory from npm."""

import itertools
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, select, update

from connections.models import accounts
from connections.sqltime import from_now
from connections.verified import Session
from tests.e2e.left import left_sessions, refresh_token, replace_session
from tests.e2e.network.pds_client import PdsAccount
from tests.e2e.network.real import RealNetwork
from tests.e2e.stack import Service, body
from tests.servers import wait_until

pytestmark = pytest.mark.real_network

_numbers = itertools.count(1)


@pytest.fixture
def person(real_network: RealNetwork) -> PdsAccount:
    return real_network.create_account(f"citizen{next(_numbers)}.test")


@pytest.fixture
def app_password(real_network: RealNetwork, person: PdsAccount) -> str:
    return real_network.create_app_password(person)


@pytest.fixture
def caller(service_on_real_network: Service) -> httpx.Client:
    return service_on_real_network.client(service_on_real_network.tenant())


def connect(caller: httpx.Client, handle: str, password: str) -> httpx.Response:
    return caller.post("/v1/accounts/connect", json=body(handle, password))


def issue_of(answer: httpx.Response) -> tuple[int, str]:
    (issue,) = answer.json()["error"]["issues"]
    return answer.status_code, issue["code"]


def test_an_app_password_connects(
    caller: httpx.Client, real_network: RealNetwork, person: PdsAccount, app_password: str
) -> None:
    before = real_network.open_sessions(person.did)
    answer = connect(caller, person.handle, app_password)

    assert answer.status_code == 201, answer.text
    account = answer.json()["data"]
    assert (account["account_name"], account["external_account_id"]) == (person.handle, person.did)
    assert real_network.open_sessions(person.did) == before + 1


def test_a_did_connects_too(caller: httpx.Client, person: PdsAccount, app_password: str) -> None:
    answer = connect(caller, person.did, app_password)

    assert answer.status_code == 201, answer.text
    assert answer.json()["account_name"] == person.handle


def test_what_people_paste_connects(caller: httpx.Client, person: PdsAccount, app_password: str) -> None:
    answer = connect(caller, f" \u202a@{person.handle.upper()}\u202c\n", f" {app_password}\n")

    assert answer.status_code == 201, answer.text


def test_the_main_password_is_refused_and_its_session_ended(
    caller: httpx.Client, real_network: RealNetwork, person: PdsAccount
) -> None:
    before = real_network.open_sessions(person.did)
    answer = connect(caller, person.handle, "main-password")

    assert issue_of(answer) == (422, "main_password_rejected")
    assert real_network.open_sessions(person.did) == before


def test_a_wrong_password_is_401(caller: httpx.Client, person: PdsAccount) -> None:
    answer = connect(caller, person.handle, "wrong-pass-word-2345")
    error = answer.json()["error"]

    assert (answer.status_code, error["code"], error["error_source"]) == (401, "UNAUTHORIZED", "platform")
    assert error["provider_error"] == {
        "provider": "bluesky",
        "http_status": 401,
        "code": "AuthenticationRequired",
        "is_transient": False,
    }


def test_an_unknown_handle_is_422(caller: httpx.Client) -> None:
    assert issue_of(connect(caller, "nobody-at-all.test", "abcd-efgh-2345-wxyz")) == (422, "handle_not_found")


def test_a_deactivated_account_is_unavailable(
    caller: httpx.Client, real_network: RealNetwork, person: PdsAccount, app_password: str
) -> None:
    real_network.deactivate(person)
    before = real_network.open_sessions(person.did)

    assert issue_of(connect(caller, person.handle, app_password)) == (422, "account_unavailable")
    assert issue_of(connect(caller, person.did, app_password)) == (422, "account_unavailable")
    assert real_network.open_sessions(person.did) == before


def test_a_taken_down_account_is_unavailable(
    caller: httpx.Client, real_network: RealNetwork, person: PdsAccount, app_password: str
) -> None:
    real_network.take_down(person.did)

    for identifier in (person.did, person.handle):
        for password in (app_password, "main-password"):
            assert issue_of(connect(caller, identifier, password)) == (422, "account_unavailable")


def test_a_tombstoned_did_is_unusable(
    caller: httpx.Client, real_network: RealNetwork, person: PdsAccount, app_password: str
) -> None:
    real_network.tombstone(person.did)

    assert issue_of(connect(caller, person.did, app_password)) == (422, "identity_unusable")


def test_a_disconnect_ends_every_session_that_the_account_had(
    service_on_real_network: Service,
    caller: httpx.Client,
    real_network: RealNetwork,
    person: PdsAccount,
    app_password: str,
) -> None:
    before = real_network.open_sessions(person.did)
    account_id = connect(caller, person.handle, app_password).json()["id"]

    def refresh(token: str) -> Session:
        answer = ask_for_another(real_network, token).raise_for_status().json()
        return Session(answer["accessJwt"], answer["refreshJwt"])

    replaced = [replace_session(service_on_real_network, account_id, refresh) for _ in range(2)]
    current = refresh_token(service_on_real_network, account_id)
    assert real_network.open_sessions(person.did) == before + 1

    assert caller.delete(f"/v1/accounts/{account_id}").status_code == 200

    wait_until(lambda: left_sessions(service_on_real_network, account_id) == 0, what="the end of all sessions")
    assert real_network.open_sessions(person.did) == before
    for token in (current, *replaced):
        answer = ask_for_another(real_network, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "ExpiredToken")


def ask_for_another(real_network: RealNetwork, token: str) -> httpx.Response:
    return real_network.pds.post("com.atproto.server.refreshSession", token=token)


@dataclass(frozen=True)
class Kept:
    """An account whose session the service keeps alive."""

    service: Service
    id: str

    @property
    def row(self) -> Row[Any]:
        with self.service.database.read() as connection:
            return connection.execute(select(accounts).where(accounts.c.id == self.id)).one()

    def refresh(self) -> Row[Any]:
        """Its row once a refresh was tried that is due now."""
        self.due()
        return self.settled()

    def due(self) -> None:
        with self.service.database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == self.id).values(refresh_at=from_now(-1.0)))

    def settled(self) -> Row[Any]:
        def is_settled() -> bool:
            row = self.row
            return bool(row.refresh_at > before.refresh_at and row.refresh_fence % 2 == 0)

        before = self.row
        wait_until(is_settled, what="a refresh", seconds=40)
        return self.row


@pytest.fixture
def kept(service_on_real_network: Service, caller: httpx.Client, person: PdsAccount, app_password: str) -> Kept:
    answer = connect(caller, person.handle, app_password)
    assert answer.status_code == 201, answer.text
    return Kept(service_on_real_network, answer.json()["id"])


class TestASessionThatIsKept:
    def test_is_refreshed(self, kept: Kept, real_network: RealNetwork, person: PdsAccount) -> None:
        sessions = real_network.open_sessions(person.did)
        rows = [kept.refresh() for _ in range(2)]
        assert [(row.status, row.refresh_failures, row.last_error) for row in rows] == [("active", 0, None)] * 2
        assert rows[0].refresh_token != rows[1].refresh_token
        assert rows[1].access_expires_at is not None
        assert real_network.open_sessions(person.did) == sessions

    def test_ends_when_its_app_password_is_revoked_and_begins_again_with_another(
        self, kept: Kept, caller: httpx.Client, real_network: RealNetwork, person: PdsAccount
    ) -> None:
        real_network.pds.revoke_app_password(person)
        row = kept.refresh()
        assert (row.status, row.status_cause, row.refresh_token) == ("reconnect_required", "session_ended", None)

        another = real_network.create_app_password(person)
        answer = caller.post(f"/v1/accounts/{kept.id}/reconnect", json=body(person.handle, another))
        assert (answer.status_code, answer.json()["id"], answer.json()["status"]) == (200, kept.id, "active")
        assert kept.refresh().status == "active"

    def test_ends_when_the_account_is_taken_down(
        self, kept: Kept, real_network: RealNetwork, person: PdsAccount
    ) -> None:
        real_network.take_down(person.did)
        row = kept.refresh()
        assert (row.status, row.status_cause) == ("reconnect_required", "account_unavailable")

    def test_ends_when_the_account_is_deleted(self, kept: Kept, real_network: RealNetwork, person: PdsAccount) -> None:
        real_network.pds.delete_account(person.did)
        row = kept.refresh()
        assert (row.status, row.status_cause) == ("reconnect_required", "session_ended")

    def test_lives_on_while_the_account_is_deactivated(
        self, kept: Kept, real_network: RealNetwork, person: PdsAccount
    ) -> None:
        real_network.deactivate(person)
        row = kept.refresh()
        assert (row.status, row.refresh_failures) == ("active", 0)
        assert row.last_error["issues"][0]["code"] == "account_unavailable"
        real_network.pds.activate(person)
        assert kept.refresh().last_error is None

    def test_outlives_a_server_that_does_not_answer(
        self, kept: Kept, real_network: RealNetwork, person: PdsAccount
    ) -> None:
        sessions = real_network.open_sessions(person.did)
        with real_network.silent():
            row = kept.refresh()
            assert (row.status, row.last_error["code"]) == ("active", "UPSTREAM_ERROR")
        row = kept.refresh()
        assert (row.status, row.refresh_failures, row.last_error) == ("active", 0, None)
        assert real_network.open_sessions(person.did) == sessions
