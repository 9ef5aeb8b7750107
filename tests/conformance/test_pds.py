"""What else a PDS answers."""

import pytest

from tests.conformance.conftest import NetworkUnderTest, Resident, refusal
from tests.e2e.network.pds_client import PdsAccount

CREATE_ACCOUNT = "com.atproto.server.createAccount"
UNAUTHENTICATED = (401, "AuthMissing", "Authentication Required")


def test_health(network: NetworkUnderTest) -> None:
    assert network.pds.get("/xrpc/_health").json() == {}


def test_describe_server(network: NetworkUnderTest) -> None:
    body = network.pds.get("com.atproto.server.describeServer").json()
    assert body["did"] == "did:web:localhost"
    assert body["availableUserDomains"] == [".test", ".example"]
    assert body["inviteCodeRequired"] is False


@pytest.mark.parametrize("nsid", ["com.example.unknown", "app.bsky.actor.getProfile?actor=alice.test"])
def test_what_needs_a_token(network: NetworkUnderTest, nsid: str) -> None:
    assert refusal(network.pds.get(nsid)) == UNAUTHENTICATED


def test_paths_beside_xrpc(network: NetworkUnderTest) -> None:
    response = network.pds.get("/nothing/here")
    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html; charset=utf-8"


def test_create_account_gives_a_session_and_a_document(network: NetworkUnderTest) -> None:
    body = {"handle": "newcomer.test", "email": "newcomer@mail.com", "password": "x"}
    created = network.pds.post(CREATE_ACCOUNT, json=body).json()
    assert created.keys() == {"handle", "did", "didDoc", "accessJwt", "refreshJwt"}
    assert created["didDoc"] == network.document(created["did"]).json()


def test_create_account_refusals(network: NetworkUnderTest, resident: Resident) -> None:
    handle, email = resident.account.handle, resident.account.email
    for body, error, message in [
        ({"handle": handle, "email": "other@mail.com"}, "InvalidRequest", f"Handle already taken: {handle}"),
        ({"handle": "stranger.test", "email": email}, "InvalidRequest", f"Email already taken: {email}"),
        ({"handle": "stranger.test"}, "InvalidRequest", "Email is required"),
        (
            {"handle": "stranger.example.com", "email": "other@mail.com"},
            "UnsupportedDomain",
            "Not a supported handle domain",
        ),
        ({"handle": "a_b.test"}, "InvalidRequest", 'Invalid handle (got "a_b.test") at $.handle'),
    ]:
        response = network.pds.post(CREATE_ACCOUNT, json={"password": "x", **body})
        assert refusal(response) == (400, error, message)


def test_app_passwords(network: NetworkUnderTest, account: PdsAccount) -> None:
    made = network.pds.post(
        "com.atproto.server.createAppPassword", token=account.access_token, json={"name": "one"}
    ).json()
    assert made.keys() == {"name", "password", "createdAt", "privileged"}
    assert (made["name"], made["privileged"]) == ("one", False)


def test_administration_needs_the_password(network: NetworkUnderTest, account: PdsAccount) -> None:
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}
    for headers in ({}, {"Authorization": "Basic YWRtaW46d3Jvbmc="}):
        response = network.pds.post("com.atproto.admin.updateSubjectStatus", headers=headers, json={"subject": subject})
        assert refusal(response) == (401, "AuthenticationRequired", "Authentication Required")
