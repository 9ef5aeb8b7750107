"""What the hosted service has on: rate limits, and the DID document in sessions.

Passwords of 513 characters are refused at once and still counted, so that thirty attempts take no ten seconds.
"""

import time

import httpx
import pytest

from tests.conformance.conftest import NetworkUnderTest, refusal
from tests.e2e.network.pds_client import PdsAccount

REFUSED_AT_ONCE = "x" * 513
WINDOW_SECONDS = 300


def shown(response: httpx.Response) -> dict[str, int | str]:
    """The rate limit headers, numbers as such."""
    names = [name for name in response.headers if name.startswith("ratelimit-")]
    values = {name.removeprefix("ratelimit-"): response.headers[name] for name in names}
    return {name: int(value) if value.isdigit() else value for name, value in values.items()}


def attempt(hosted: NetworkUnderTest, identifier: str, address: str = "192.0.2.1") -> httpx.Response:
    """A login from an address of its own, as a proxy on loopback reports it."""
    body = {"identifier": identifier, "password": REFUSED_AT_ONCE}
    headers = {"X-Forwarded-For": address}
    return hosted.pds.post("com.atproto.server.createSession", json=body, headers=headers)


@pytest.fixture(scope="session")
def visitor(hosted: NetworkUnderTest) -> PdsAccount:
    """One account for the whole file."""
    return hosted.new_account()


def test_thirty_attempts_in_five_minutes(hosted: NetworkUnderTest) -> None:
    for left in reversed(range(30)):
        response = attempt(hosted, "spent.test")
        limits = shown(response)
        reset = limits.pop("reset")
        assert response.status_code == 401
        assert limits == {"limit": 30, "remaining": left, "policy": "30;w=300"}
        assert isinstance(reset, int)
        assert 0 < reset - time.time() <= WINDOW_SECONDS

    response = attempt(hosted, "spent.test")
    assert refusal(response) == (429, "RateLimitExceeded", "Rate Limit Exceeded")
    assert shown(response) == {"limit": 30, "remaining": 0, "policy": "30;w=300", "reset": reset}
    assert "retry-after" not in response.headers


def test_each_spelling_and_each_address_has_its_own_bucket(hosted: NetworkUnderTest, visitor: PdsAccount) -> None:
    spellings = [visitor.handle, visitor.handle.upper(), visitor.did]
    assert [shown(attempt(hosted, spelling))["remaining"] for spelling in spellings] == [29, 29, 29]
    assert shown(attempt(hosted, visitor.handle, "192.0.2.2"))["remaining"] == 29
    assert shown(attempt(hosted, visitor.handle))["remaining"] == 28


def test_input_that_is_refused_before_is_not_counted(hosted: NetworkUnderTest) -> None:
    response = hosted.pds.post("com.atproto.server.createSession", json={"identifier": "early.test"})
    assert response.status_code == 400
    assert shown(response) == {}
    assert shown(attempt(hosted, "early.test"))["remaining"] == 29


def test_other_methods_show_the_limit_of_the_address(hosted: NetworkUnderTest) -> None:
    headers = {"X-Forwarded-For": "192.0.2.3"}
    for left in (2999, 2998):
        response = hosted.pds.get("com.atproto.server.describeServer", headers=headers)
        limits = shown(response)
        limits.pop("reset")
        assert limits == {"limit": 3000, "remaining": left, "policy": "3000;w=300"}


def test_health_is_not_limited(hosted: NetworkUnderTest) -> None:
    assert shown(hosted.pds.get("/xrpc/_health")) == {}


def test_a_session_carries_the_document(hosted: NetworkUnderTest, visitor: PdsAccount) -> None:
    response = hosted.pds.login(visitor.handle, visitor.password)
    assert response.json()["didDoc"] == hosted.document(visitor.did).json()
    assert shown(response)["limit"] == 30


def test_long_answers_are_compressed(hosted: NetworkUnderTest, visitor: PdsAccount) -> None:
    assert hosted.pds.login(visitor.handle, visitor.password).headers["content-encoding"] == "gzip"
    plain = hosted.pds.post(
        "com.atproto.server.createSession",
        json={"identifier": visitor.handle, "password": visitor.password},
        headers={"Accept-Encoding": "identity"},
    )
    assert "content-encoding" not in plain.headers
    assert plain.json()["did"] == visitor.did
