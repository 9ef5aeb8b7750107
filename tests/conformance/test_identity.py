"""Handles, DID documents and the public state of a repository."""

import pytest

from tests.conformance.conftest import NetworkUnderTest, Resident, refusal
from tests.e2e.network.pds_client import PdsAccount

RESOLVE = "com.atproto.identity.resolveHandle"
REPO_STATUS = "com.atproto.sync.getRepoStatus"
DESCRIBE_REPO = "com.atproto.repo.describeRepo"
UNRESOLVED = (400, "InvalidRequest", "Unable to resolve handle")
UNKNOWN_DID = "did:plc:" + "a" * 24


def test_resolve_handle(network: NetworkUnderTest, resident: Resident) -> None:
    for handle in (resident.account.handle, resident.account.handle.upper()):
        response = network.pds.get(RESOLVE, params={"handle": handle})
        assert (response.status_code, response.json()) == (200, {"did": resident.account.did})


def test_resolve_an_unknown_handle(network: NetworkUnderTest) -> None:
    assert refusal(network.pds.get(RESOLVE, params={"handle": "nobody.test"})) == UNRESOLVED


@pytest.mark.parametrize("params", [{}, {"handle": "no body"}])
def test_resolve_without_a_handle(network: NetworkUnderTest, params: dict[str, str]) -> None:
    assert network.pds.get(RESOLVE, params=params).status_code == 500


def test_well_known(network: NetworkUnderTest, resident: Resident) -> None:
    response = network.pds.get("/.well-known/atproto-did", headers={"Host": resident.account.handle})
    assert (response.status_code, response.text) == (200, resident.account.did)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("host", ["nobody.test", "localhost", "example.com"])
def test_well_known_of_nobody(network: NetworkUnderTest, host: str) -> None:
    response = network.pds.get("/.well-known/atproto-did", headers={"Host": host})
    assert (response.status_code, response.text) == (404, "User not found")


def test_repo_status(network: NetworkUnderTest, account: PdsAccount) -> None:
    def status() -> dict[str, object]:
        answer: dict[str, object] = network.pds.get(REPO_STATUS, params={"did": account.did}).json()
        return answer

    active = status()
    assert isinstance(active.pop("rev"), str)
    assert active == {"did": account.did, "active": True}
    network.pds.deactivate(account)
    assert status() == {"did": account.did, "active": False, "status": "deactivated"}
    network.pds.activate(account)
    network.pds.take_down(account.did)
    assert status() == {"did": account.did, "active": False, "status": "takendown"}


def test_repo_status_of_nobody(network: NetworkUnderTest) -> None:
    expected = (400, "RepoNotFound", f"Could not find repo for DID: {UNKNOWN_DID}")
    assert refusal(network.pds.get(REPO_STATUS, params={"did": UNKNOWN_DID})) == expected


def test_describe_repo_tells_what_resolving_hides(network: NetworkUnderTest, account: PdsAccount) -> None:
    def refused(repo: str) -> tuple[int, str, str]:
        return refusal(network.pds.get(DESCRIBE_REPO, params={"repo": repo}))

    for repo in (account.handle, account.did):
        described = network.pds.get(DESCRIBE_REPO, params={"repo": repo}).json()
        assert (described["handle"], described["did"]) == (account.handle, account.did)
    assert refused("nobody.test") == (400, "RepoNotFound", "Could not find repo for DID: nobody.test")
    network.pds.deactivate(account)
    assert refused(account.handle) == (400, "RepoDeactivated", f"Repo has been deactivated: {account.handle}")
    network.pds.activate(account)
    network.pds.take_down(account.did)
    assert refused(account.handle) == (400, "RepoTakendown", f"Repo has been takendown: {account.handle}")


@pytest.mark.parametrize("state", ["deactivated", "taken down"])
def test_an_inactive_account_resolves_no_more(network: NetworkUnderTest, account: PdsAccount, state: str) -> None:
    if state == "deactivated":
        network.pds.deactivate(account)
    else:
        network.pds.take_down(account.did)
    assert refusal(network.pds.get(RESOLVE, params={"handle": account.handle})) == UNRESOLVED
    response = network.pds.get("/.well-known/atproto-did", headers={"Host": account.handle})
    assert response.status_code == 404


def test_a_document(network: NetworkUnderTest, resident: Resident) -> None:
    response = network.document(resident.account.did)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/did+ld+json; charset=utf-8"
    document = response.json()
    key = document["verificationMethod"][0].pop("publicKeyMultibase")
    assert key.startswith("z")
    assert document == {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/secp256k1-2019/v1"],
        "id": resident.account.did,
        "alsoKnownAs": [f"at://{resident.account.handle}"],
        "verificationMethod": [
            {
                "id": "#atproto",
                "type": "EcdsaSecp256k1VerificationKey2019",
                "controller": resident.account.did,
            }
        ],
        "service": [{"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": network.pds_url}],
    }


def test_an_unknown_did(network: NetworkUnderTest) -> None:
    response = network.document(UNKNOWN_DID)
    assert (response.status_code, response.json()) == (404, {"message": f"DID not registered: {UNKNOWN_DID}"})


def test_a_tombstone(network: NetworkUnderTest, account: PdsAccount) -> None:
    network.tombstone(account.did)
    response = network.document(account.did)
    # The public directory documents 410; the release on npm says 404. Clients must take both alike.
    assert response.status_code == {"sandbox": 410, "real": 404}[network.kind]
    assert response.json() == {"message": f"DID not available: {account.did}"}


@pytest.mark.parametrize("endpoint", ["http://169.254.169.254/latest", "ftp://files.example.com", "not a URL"])
def test_the_directory_stores_any_endpoint(network: NetworkUnderTest, account: PdsAccount, endpoint: str) -> None:
    network.set_endpoint(account.did, endpoint)
    stored = network.document(account.did).json()["service"][0]["serviceEndpoint"]
    assert stored == endpoint
