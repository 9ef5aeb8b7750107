"""Every row of the createSession table that a PDS without an entryway can produce."""

from typing import Any

import pytest

from tests.conformance.conftest import NetworkUnderTest, Resident, claims, refusal
from tests.e2e.network.pds_client import PdsAccount

CREATE_SESSION = "com.atproto.server.createSession"
WRONG = (401, "AuthenticationRequired", "Invalid identifier or password")


def test_an_app_password_opens_a_session(network: NetworkUnderTest, resident: Resident) -> None:
    response = network.pds.login(resident.account.handle, resident.app_password)
    assert response.status_code == 200
    body = response.json()
    assert isinstance(body.pop("accessJwt"), str)
    assert isinstance(body.pop("refreshJwt"), str)
    assert body == {
        "did": resident.account.did,
        "handle": resident.account.handle,
        "email": resident.account.email,
        "emailConfirmed": False,
        "active": True,
    }


@pytest.mark.parametrize("field", ["did", "handle", "email"])
def test_each_identifier_is_accepted_in_any_case(network: NetworkUnderTest, resident: Resident, field: str) -> None:
    identifier = getattr(resident.account, field)
    for spelling in (identifier, identifier.upper()):
        assert network.pds.login(spelling, resident.app_password).json()["did"] == resident.account.did


@pytest.mark.parametrize(
    "pasted",
    [
        "@{handle}",
        " {handle}",
        "{handle}\n",
        "at://{handle}",
        "https://bsky.app/profile/{handle}",
        "\u202a{handle}\u202c",
        "\u2066{handle}\u2069",
        "\ufeff{handle}",
        "{name}",
        "",
    ],
)
def test_a_pasted_identifier_is_an_unknown_one(network: NetworkUnderTest, resident: Resident, pasted: str) -> None:
    handle = resident.account.handle
    identifier = pasted.format(handle=handle, name=handle.partition(".")[0])
    assert refusal(network.pds.login(identifier, resident.app_password)) == WRONG


@pytest.mark.parametrize("spoil", ["{}x", " {}", "{} ", "upper", "dashes", "", "x" * 512])
def test_a_password_differing_at_all_is_wrong(network: NetworkUnderTest, resident: Resident, spoil: str) -> None:
    password = resident.app_password
    spoiled = {"upper": password.upper(), "dashes": password.replace("-", "")}.get(spoil, spoil.format(password))
    assert refusal(network.pds.login(resident.account.handle, spoiled)) == WRONG


def test_an_unknown_account_looks_like_a_wrong_password(network: NetworkUnderTest) -> None:
    assert refusal(network.pds.login("nobody.test", "abcd-efgh-2345-wxyz")) == WRONG


def test_a_password_over_512_characters(network: NetworkUnderTest, resident: Resident) -> None:
    expected = (401, "AuthenticationRequired", "Password too long. Consider resetting your password.")
    assert refusal(network.pds.login(resident.account.handle, "x" * 513)) == expected


def test_taken_down(network: NetworkUnderTest, account: PdsAccount) -> None:
    app_password = network.pds.create_app_password(account)
    network.pds.take_down(account.did)

    by_main = network.pds.login(account.handle, account.password)
    assert refusal(by_main) == (401, "AccountTakedown", "Account has been taken down")
    assert refusal(network.pds.login(account.handle, app_password)) == WRONG

    allowed = network.pds.login(account.handle, account.password, allowTakendown=True).json()
    assert (allowed["active"], allowed["status"]) == (False, "takendown")
    assert claims(allowed["accessJwt"])["scope"] == "com.atproto.takendown"

    network.pds.take_down(account.did, applied=False)
    assert network.pds.login(account.handle, app_password).status_code == 200


def test_deactivated(network: NetworkUnderTest, account: PdsAccount) -> None:
    app_password = network.pds.create_app_password(account)
    network.pds.deactivate(account)
    body = network.pds.login(account.handle, app_password).json()
    assert (body["did"], body["active"], body["status"]) == (account.did, False, "deactivated")

    network.pds.activate(account)
    body = network.pds.login(account.handle, app_password).json()
    assert body["active"] is True
    assert "status" not in body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, 'Missing required key "identifier" at $'),
        ([], "Expected object value type (got []) at $"),
        ({"password": "x"}, 'Missing required key "identifier" at $'),
        ({"identifier": "x"}, 'Missing required key "password" at $'),
        ({"identifier": 1, "password": "x"}, "Expected string value type (got 1) at $.identifier"),
        ({"identifier": "x", "password": None}, "Expected string value type (got null) at $.password"),
        (
            {"identifier": "x", "password": "x", "allowTakendown": "x"},
            'Expected boolean value type (got "x") at $.allowTakendown',
        ),
    ],
)
def test_input_of_wrong_types(network: NetworkUnderTest, body: Any, message: str) -> None:
    response = network.pds.post(CREATE_SESSION, json=body)
    assert refusal(response) == (400, "InvalidRequest", message)


@pytest.mark.parametrize(
    ("content_type", "content", "status", "error"),
    [
        ("application/json", b"{", 400, "SyntaxError"),
        ("application/json", b'"text"', 400, "SyntaxError"),
        ("application/json", b"", 400, "InvalidRequest"),
        ("text/plain", b"{}", 400, "InvalidRequest"),
        ("application/json", b'{"identifier":"' + b"x" * 160_000 + b'","password":"x"}', 413, "PayloadTooLargeError"),
        ("application/json; charset=utf-8", b'{"identifier":"x","password":"x"}', 401, "AuthenticationRequired"),
    ],
)
def test_bodies_that_are_not_the_input(
    network: NetworkUnderTest, content_type: str, content: bytes, status: int, error: str
) -> None:
    response = network.pds.post(CREATE_SESSION, content=content, headers={"Content-Type": content_type})
    assert refusal(response)[:2] == (status, error)


def test_a_body_without_content_type(network: NetworkUnderTest) -> None:
    message = "Request encoding (Content-Type) required but not provided"
    assert refusal(network.pds.post(CREATE_SESSION, content=b"{}")) == (400, "InvalidRequest", message)


def test_other_verbs(network: NetworkUnderTest) -> None:
    assert refusal(network.pds.get(CREATE_SESSION)) == (401, "AuthMissing", "Authentication Required")


def test_headers(network: NetworkUnderTest, resident: Resident) -> None:
    granted = network.pds.login(resident.account.handle, resident.app_password)
    refused = network.pds.login(resident.account.handle, "wrong")
    for response in (granted, refused):
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert response.headers["vary"] == "Accept-Encoding"
        assert int(response.headers["content-length"]) == len(response.content)
        assert "date" in response.headers
        assert not [name for name in response.headers if name.startswith(("ratelimit-", "retry-", "set-cookie"))]
