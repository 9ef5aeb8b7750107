"""Logging in and believing only what fits."""

import time
from json import dumps

import pytest

from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    IdentityUnusable,
    MainPasswordRejected,
    PlatformError,
    TemporaryFailure,
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
    document,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import answer, refusal

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
        {"email": "alice@mail.example", "unheardOf": [1]},
        {"didDoc": document()},
        {"didDoc": document(endpoint=f"https://{PDS.upper()}/")},
        # Unreadable, or silent about where the account lives: contradicts nothing.
        {"didDoc": None},
        {"didDoc": "none"},
        {"didDoc": [7]},
        {"didDoc": {}},
        {"didDoc": {"id": 7}},
        {"didDoc": {"id": DID}},
        {"didDoc": {"$type": "app.bsky.feed.post"}},
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
    ("said", "error"),
    [
        (document(OTHER_DID), "says that the account lives elsewhere"),
        (document(endpoint="https://elsewhere.example.com"), "says that the account lives elsewhere"),
        (document(endpoint=f"http://{PDS}"), "says that the account lives elsewhere"),
        (document(endpoint=f"https://{PDS}:8443"), "says that the account lives elsewhere"),
        (document(endpoint=f"https://{PDS}/xrpc"), "says that the account lives elsewhere"),
    ],
)
def test_a_session_whose_server_names_another_identity_or_server_is_ended(
    world: World, said: dict[str, object], error: str
) -> None:
    world.reply(LOGIN, answer(200, session(didDoc=said)))
    with pytest.raises(IdentityUnusable, match=error):
        world.connect()
    assert world.calls(CREATE) == world.calls(DELETE) == 1


def bytes_of(**changes: object) -> bytes:
    return dumps(session(**changes)).encode()


def with_raw(member: bytes) -> bytes:
    """A session whose first member is this text."""
    return b"{" + member + b", " + bytes_of()[1:]


UNUSABLE = {
    "a blank in a token": bytes_of(accessJwt="with blank"),
    "a new line in a token": bytes_of(accessJwt="new\nline"),
    "an empty token": bytes_of(accessJwt=""),
    "a token of numbers": bytes_of(accessJwt=7),
    "a token of objects": bytes_of(accessJwt={"refreshJwt": 7}),
    "no token": bytes_of(accessJwt=None),
    "a DID of numbers": bytes_of(did=7),
    "no handle": bytes_of(handle=None),
    "a state of words": bytes_of(active="yes"),
    "a list": b"[" + bytes_of() + b"]",
    "in a page": b"<html><script>" + bytes_of() + b"</script></html>",
    "cut short": bytes_of()[:-5],
    "nested too deep": with_raw(b'"didDoc": ' + b"[" * 100_000),
    "nested deep and closed": with_raw(b'"didDoc": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a huge number": with_raw(b'"rate": ' + b"9" * 100_000),
    "a number that is none": with_raw(b'"rate": NaN'),
    "an infinite number": with_raw(b'"rate": -Infinity'),
    "half a character": with_raw(b'"email": "\\ud800"'),
    "another encoding": with_raw('"email": "ü@mail.example"'.encode("latin-1")),
    "a byte order mark": b"\xef\xbb\xbf" + bytes_of(),
}


@pytest.mark.parametrize("content", UNUSABLE.values(), ids=UNUSABLE)
def test_a_session_of_no_use_is_ended_all_the_same(world: World, content: bytes) -> None:
    world.reply(LOGIN, answer(200, content=content))
    with pytest.raises(UpstreamFailed):
        world.connect()
    [end] = world.network.calls(DELETE)
    assert end.headers["authorization"] == "Bearer refresh-token"


@pytest.mark.parametrize("status", [201, 202, 299, 302, 400, 401, 500])
def test_a_session_in_an_answer_that_is_no_success_is_ended(world: World, status: int) -> None:
    world.reply(LOGIN, answer(status, {**session(), "error": "SomethingNew"}))
    with pytest.raises(PlatformError):
        world.connect()
    assert world.calls(DELETE) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"refreshJwt"',
        b"<html>It works!</html>",
        bytes_of(refreshJwt="uml\u00e4ut"),
        bytes_of(refreshJwt=""),
        bytes_of(refreshJwt="x" * 10_000),
        bytes_of(refreshJwt="new\nline"),
        bytes_of(refreshJwt=7),
        bytes_of(refreshJwt=["refresh-token"]),
        with_raw(b'"did": 7').replace(b"refresh-token", b"\\ud800"),
        bytes_of().decode().encode("utf-16"),
    ],
)
def test_without_a_usable_token_there_is_nothing_to_end(world: World, content: bytes) -> None:
    world.reply(LOGIN, answer(200, content=content))
    with pytest.raises(UpstreamFailed):
        world.connect()
    assert world.calls(DELETE) == 0


@pytest.mark.parametrize("content_type", ["text/html", "application/json; charset=utf-16", "image/png", ""])
def test_what_an_answer_is_called_proves_nothing(world: World, content_type: str) -> None:
    world.reply(LOGIN, answer(200, session(), headers={"content-type": content_type}))
    assert world.connect().external_id == DID


def test_of_two_members_of_one_name_the_last_counts_everywhere(world: World) -> None:
    two = b'{"did": "%s", "refreshJwt": "first", ' % DID.encode() + bytes_of(did=OTHER_DID)[1:]
    world.reply(LOGIN, answer(200, content=two))
    with pytest.raises(IdentityUnusable):
        world.connect()
    [end] = world.network.calls(DELETE)
    assert end.headers["authorization"] == "Bearer refresh-token"


def test_a_token_with_escapes_is_ended_as_it_was_meant(world: World) -> None:
    content = bytes_of(did=7, refreshJwt="TOKEN").replace(b"TOKEN", rb"a\/b\"c\\d\u0065")
    world.reply(LOGIN, answer(200, content=content))
    with pytest.raises(UpstreamFailed):
        world.connect()
    [end] = world.network.calls(DELETE)
    assert end.headers["authorization"] == r'Bearer a/b"c\de'


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


@pytest.mark.parametrize("reply", [answer(200, {}), refusal(400, "ExpiredToken"), refusal(400, "InvalidToken")])
def test_a_session_that_was_kept_is_ended_where_it_was_opened(world: World, reply: bytes) -> None:
    world.reply(END, reply)
    end_retired(world)
    (asked,) = world.network.calls(DELETE)
    assert asked.headers["authorization"] == "Bearer a-refresh-token"


@pytest.mark.parametrize("reply", [answer(500), answer(404), refusal(429, "RateLimitExceeded"), refusal(400, "Other")])
def test_an_unconfirmed_end_of_a_kept_session_is_temporary(world: World, reply: bytes) -> None:
    world.reply(END, reply)
    with pytest.raises(TemporaryFailure):
        end_retired(world)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], []], ids=["has moved inside", "is gone"])
def test_a_host_that_cannot_be_called_confirms_no_end(world: World, addresses: list[str]) -> None:
    world.resolver.hosts[PDS] = addresses
    with pytest.raises(TemporaryFailure):
        end_retired(world)


def end_retired(world: World) -> None:
    world.bluesky.end_retired("sa_1", f"https://{PDS}", "a-refresh-token", deadline=time.monotonic() + 5)


def test_secrets_are_in_no_error(world: World) -> None:
    world.reply(LOGIN, answer(200, session(did=7)))
    with pytest.raises(UpstreamFailed) as caught:
        world.connect()
    chain: BaseException | None = caught.value
    while chain:
        assert APP_PASSWORD not in f"{chain!s}{chain!r}"
        assert "refresh-token" not in f"{chain!s}{chain!r}"
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
