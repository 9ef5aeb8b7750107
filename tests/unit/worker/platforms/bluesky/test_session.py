"""Logging in and believing only what fits."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    IdentityUnusable,
    MainPasswordRejected,
    PlatformError,
    UpstreamFailed,
)
from connections.verified import Session, VerifiedAccount
from tests.unit.worker.platforms.bluesky.conftest import (
    APP_PASSWORD,
    CREATE,
    DELETE,
    DID,
    HANDLE,
    OTHER_DID,
    PDS,
    STATUS,
    World,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import answer, refusal
from worker.platforms.bluesky.session import scope_of

LOGIN = f"POST {PDS}/xrpc/{CREATE}"
END = f"POST {PDS}/xrpc/{DELETE}"
LOOK = f"GET {PDS}/xrpc/{STATUS}"


def test_the_account_and_its_session(world: World) -> None:
    assert world.connect() == VerifiedAccount(DID, HANDLE, f"https://{PDS}", Session(token(), "refresh-token"))


def test_one_login_as_the_did(world: World) -> None:
    world.connect()
    [login] = world.network.calls(CREATE)
    assert login.json() == {"identifier": DID, "password": APP_PASSWORD}
    assert "authorization" not in login.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"accessJwt": token("com.atproto.appPassPrivileged")},
        {"accessJwt": token("some.future.scope")},
        {"accessJwt": token(None)},
        {"accessJwt": "opaque"},
        {"active": None},
        {"email": "alice@mail.example", "didDoc": {"id": OTHER_DID}, "unheardOf": [1]},
    ],
)
def test_what_is_fine_too(world: World, changes: dict[str, object]) -> None:
    world.reply(LOGIN, answer(200, session(**changes)))
    assert world.connect().external_id == DID


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"did": OTHER_DID}, IdentityUnusable),
        ({"did": OTHER_DID, "accessJwt": token("com.atproto.access")}, IdentityUnusable),
        ({"accessJwt": token("com.atproto.access")}, MainPasswordRejected),
        ({"accessJwt": token("com.atproto.takendown")}, AccountUnavailable),
        ({"active": False, "status": "deactivated"}, AccountUnavailable),
        ({"active": False}, AccountUnavailable),
    ],
)
def test_a_session_that_does_not_fit_is_ended(
    world: World, changes: dict[str, object], error: type[PlatformError]
) -> None:
    world.reply(LOGIN, answer(200, session(**changes)))
    with pytest.raises(error):
        world.connect()
    [end] = world.network.calls(DELETE)
    assert end.headers["authorization"] == "Bearer refresh-token"


def test_failing_to_end_it_does_not_hide_why(world: World) -> None:
    world.reply(LOGIN, answer(200, session(active=False)))
    world.reply(END, answer(500))
    with pytest.raises(AccountUnavailable):
        world.connect()


@pytest.mark.parametrize(
    "changes",
    [
        {"accessJwt": "with blank"},
        {"accessJwt": "new\nline"},
        {"refreshJwt": "umläut"},
        {"refreshJwt": ""},
        {"refreshJwt": "x" * 10_000},
        {"did": 7},
        {"handle": None},
        {"active": "yes"},
    ],
)
def test_a_session_of_no_use_is_a_failure(world: World, changes: dict[str, object]) -> None:
    world.reply(LOGIN, answer(200, session(**changes)))
    with pytest.raises(UpstreamFailed):
        world.connect()


@pytest.mark.parametrize("status", ["takendown", "suspended"])
def test_a_rejection_that_is_a_takedown(world: World, status: str) -> None:
    world.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    world.reply(LOOK, answer(200, {"did": DID, "active": False, "status": status}))
    with pytest.raises(AccountUnavailable):
        world.connect()


@pytest.mark.parametrize(
    "look",
    [
        answer(200, {"did": DID, "active": True}),
        # A deactivated account logs in with the right password, so this one was wrong.
        answer(200, {"did": DID, "active": False, "status": "deactivated"}),
        answer(200, content=b"<html>"),
        refusal(400, "RepoNotFound"),
        answer(503),
    ],
)
def test_a_rejection_is_a_rejection_otherwise(world: World, look: bytes) -> None:
    world.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    world.reply(LOOK, look)
    with pytest.raises(CredentialsRejected) as caught:
        world.connect()
    assert caught.value.provider is not None
    assert caught.value.provider.http_status == 401
    assert world.calls(CREATE) == 1


def test_other_refusals_need_no_second_look(world: World) -> None:
    world.reply(LOGIN, refusal(401, "AuthFactorTokenRequired"))
    with pytest.raises(MainPasswordRejected):
        world.connect()
    assert (world.calls(CREATE), world.calls(STATUS)) == (1, 0)


@pytest.mark.parametrize("reply", [answer(200, {}), refusal(400, "ExpiredToken"), refusal(400, "InvalidToken")])
def test_an_ended_session_stays_ended(world: World, reply: bytes) -> None:
    account = world.connect()
    world.reply(END, reply)
    world.bluesky.end_session(account, deadline=time.monotonic() + 5)


@pytest.mark.parametrize("reply", [answer(500), answer(404), refusal(429, "RateLimitExceeded"), refusal(400, "Other")])
def test_an_unconfirmed_end_is_temporary(world: World, reply: bytes) -> None:
    account = world.connect()
    world.reply(END, reply)
    with pytest.raises(PlatformError) as caught:
        world.bluesky.end_session(account, deadline=time.monotonic() + 5)
    assert caught.value.is_retriable


def test_an_end_at_a_host_that_has_moved_inside_is_not_confirmed(world: World) -> None:
    account = world.connect()
    world.egress.close()
    world.resolver.hosts[PDS] = ["10.0.0.1"]
    with pytest.raises(UpstreamFailed):
        world.bluesky.end_session(account, deadline=time.monotonic() + 5)


def test_secrets_are_in_no_error(world: World) -> None:
    world.reply(LOGIN, answer(200, session(did=7)))
    with pytest.raises(UpstreamFailed) as caught:
        world.connect()
    chain: BaseException | None = caught.value
    while chain:
        assert APP_PASSWORD not in f"{chain!s}{chain!r}"
        assert "refresh-token" not in f"{chain!s}{chain!r}"
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


@pytest.mark.parametrize(
    ("given_token", "scope"),
    [
        (token("com.atproto.access"), "com.atproto.access"),
        (token(None), None),
        ("a.b", None),
        ("a.b.c.d", None),
        ("a.!!!.c", None),
        ("a.W10.c", None),  # []
        ("a.eyJzY29wZSI6N30.c", None),  # {"scope":7}
    ],
)
def test_scope(given_token: str, scope: str | None) -> None:
    assert scope_of(given_token) == scope


@given(st.text(max_size=200) | st.text(alphabet="abcW10=-_.[{", max_size=60))
def test_any_text_may_be_a_token(text: str) -> None:
    scope_of(text)
