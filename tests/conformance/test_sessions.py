"""Tokens and what can be done with them: scopes, refresh, deletion, refusals."""

from collections.abc import Callable

import httpx
import pytest

from tests.conformance.conftest import NetworkUnderTest, Resident, claims, refusal
from tests.e2e.network.pds_client import PdsAccount

REFRESH = "com.atproto.server.refreshSession"
DELETE = "com.atproto.server.deleteSession"
GET = "com.atproto.server.getSession"
HOUR = 60 * 60
REVOKED = (400, "ExpiredToken", "Token has been revoked")
TAKEN_DOWN = (401, "AccountTakedown", "Account has been taken down")


@pytest.fixture
def opened(network: NetworkUnderTest, resident: Resident) -> dict[str, str]:
    """A fresh session of an app password."""
    body: dict[str, str] = network.pds.login(resident.account.handle, resident.app_password).json()
    return body


@pytest.mark.parametrize("secret", ["main", "app", "privileged app"])
def test_scopes(network: NetworkUnderTest, account: PdsAccount, secret: str) -> None:
    password, scope = {
        "main": (account.password, "com.atproto.access"),
        "app": (network.pds.create_app_password(account), "com.atproto.appPass"),
        "privileged app": (
            network.pds.create_app_password(account, "privileged", privileged=True),
            "com.atproto.appPassPrivileged",
        ),
    }[secret]
    body = network.pds.login(account.handle, password).json()
    for session in (body, network.pds.post(REFRESH, token=body["refreshJwt"]).json()):
        assert claims(session["accessJwt"])["scope"] == scope
        assert claims(session["refreshJwt"])["scope"] == "com.atproto.refresh"


def test_claims_and_lifetimes(resident: Resident, opened: dict[str, str]) -> None:
    access, refresh = claims(opened["accessJwt"]), claims(opened["refreshJwt"])
    assert access.keys() == {"scope", "aud", "sub", "iat", "exp"}
    assert refresh.keys() == {"scope", "aud", "sub", "jti", "iat", "exp"}
    assert access["sub"] == refresh["sub"] == resident.account.did
    assert access["aud"] == refresh["aud"] == "did:web:localhost"
    assert access["exp"] - access["iat"] == 2 * HOUR
    assert refresh["exp"] - refresh["iat"] == 90 * 24 * HOUR


def test_app_passwords_have_the_usual_shape(resident: Resident) -> None:
    groups = resident.app_password.split("-")
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert set("".join(groups)) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_get_session(network: NetworkUnderTest, resident: Resident, opened: dict[str, str]) -> None:
    assert network.pds.get(GET, token=opened["accessJwt"]).json() == {
        "did": resident.account.did,
        "handle": resident.account.handle,
        "email": resident.account.email,
        "emailConfirmed": False,
        "active": True,
    }


def test_refresh_gives_what_a_login_gives(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    refreshed = network.pds.post(REFRESH, token=opened["refreshJwt"])
    assert refreshed.status_code == 200
    assert refreshed.json().keys() == opened.keys()


def test_a_replaced_refresh_token_still_works_and_leads_to_the_same_next(
    network: NetworkUnderTest, opened: dict[str, str]
) -> None:
    first, second = (network.pds.post(REFRESH, token=opened["refreshJwt"]).json() for _ in range(2))
    assert claims(first["refreshJwt"])["jti"] == claims(second["refreshJwt"])["jti"]
    assert claims(first["refreshJwt"])["jti"] != claims(opened["refreshJwt"])["jti"]


def test_deletion_ends_one_token_and_is_idempotent(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    following = network.pds.post(REFRESH, token=opened["refreshJwt"]).json()["refreshJwt"]
    for _ in range(2):
        deleted = network.pds.post(DELETE, token=following)
        assert (deleted.status_code, deleted.content) == (200, b"")
    assert refusal(network.pds.post(REFRESH, token=following)) == REVOKED

    # The token it replaced is in its grace, so that only deleting both ends the session.
    assert network.pds.post(REFRESH, token=opened["refreshJwt"]).status_code == 200
    network.pds.post(DELETE, token=opened["refreshJwt"])
    assert refusal(network.pds.post(REFRESH, token=opened["refreshJwt"])) == REVOKED


def test_an_access_token_outlives_its_session(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    network.pds.post(DELETE, token=opened["refreshJwt"])
    assert network.pds.get(GET, token=opened["accessJwt"]).status_code == 200


def test_deletion_takes_no_body(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    response = network.pds.post(DELETE, token=opened["refreshJwt"], json={})
    message = "A request body was provided when none was expected"
    assert refusal(response) == (400, "InvalidRequest", message)


@pytest.mark.parametrize("method", [REFRESH, DELETE, GET])
def test_bad_tokens_are_400(network: NetworkUnderTest, opened: dict[str, str], method: str) -> None:
    ask: Callable[..., httpx.Response] = network.pds.get if method == GET else network.pds.post
    other = opened["refreshJwt"] if method == GET else opened["accessJwt"]
    unverified = (400, "InvalidToken", "Token could not be verified")
    assert refusal(ask(method, token="junk")) == unverified
    assert refusal(ask(method, token="a.b.c")) == unverified
    assert refusal(ask(method, token=other[:-5])) == unverified
    assert refusal(ask(method, token=other)) == (400, "InvalidToken", "Invalid token type")


@pytest.mark.parametrize("method", [REFRESH, DELETE, GET])
def test_a_missing_or_malformed_authorization(network: NetworkUnderTest, method: str) -> None:
    ask: Callable[..., httpx.Response] = network.pds.get if method == GET else network.pds.post
    assert refusal(ask(method)) == (401, "AuthMissing", "Authentication Required")
    for header, message in [
        ("Bearer", "Malformed authorization header"),
        ("Bearer a b", "Malformed authorization header"),
        ("Odd x", "Unsupported authorization type: Odd"),
    ]:
        response = ask(method, headers={"Authorization": header})
        assert refusal(response) == (400, "InvalidToken", message)


def test_an_app_password_cannot_make_another(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    response = network.pds.post(
        "com.atproto.server.createAppPassword", token=opened["accessJwt"], json={"name": "more"}
    )
    assert refusal(response) == (400, "InvalidToken", "Bad token scope")


def test_a_takedown_ends_sessions(network: NetworkUnderTest, account: PdsAccount) -> None:
    body = network.pds.login(account.handle, account.password).json()
    network.pds.take_down(account.did)
    assert refusal(network.pds.post(REFRESH, token=body["refreshJwt"])) == TAKEN_DOWN
    message = f"Could not find user info for account: {account.did}"
    assert refusal(network.pds.get(GET, token=body["accessJwt"])) == (400, "InvalidRequest", message)

    network.pds.take_down(account.did, applied=False)
    assert refusal(network.pds.post(REFRESH, token=body["refreshJwt"])) == REVOKED


def test_a_takedown_session_reads_and_refreshes_nothing(network: NetworkUnderTest, account: PdsAccount) -> None:
    network.pds.take_down(account.did)
    body = network.pds.login(account.handle, account.password, allowTakendown=True).json()
    assert refusal(network.pds.get(GET, token=body["accessJwt"])) == (400, "InvalidToken", "Bad token scope")
    assert refusal(network.pds.post(REFRESH, token=body["refreshJwt"])) == TAKEN_DOWN


def test_a_deactivated_account_keeps_its_sessions(network: NetworkUnderTest, account: PdsAccount) -> None:
    body = network.pds.login(account.handle, account.password).json()
    network.pds.deactivate(account)
    for answer in (
        network.pds.get(GET, token=body["accessJwt"]),
        network.pds.post(REFRESH, token=body["refreshJwt"]),
    ):
        assert (answer.status_code, answer.json()["active"], answer.json()["status"]) == (200, False, "deactivated")


def test_answers_to_a_token_are_private(network: NetworkUnderTest, opened: dict[str, str]) -> None:
    for response in (network.pds.get(GET, token=opened["accessJwt"]), network.pds.get(GET)):
        assert response.headers["cache-control"] == "private"
        assert "Authorization" in response.headers["vary"]
