"""Handles of the hosted service: one request when all is well, and as careful as ever when it is not."""

import pytest

from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    IdentityUnusable,
    MainPasswordRejected,
    PlatformError,
    UpstreamFailed,
    UpstreamRateLimited,
)
from connections.verified import Credentials
from tests.unit.worker.platforms.bluesky.conftest import (
    APP_PASSWORD,
    CREATE,
    DELETE,
    DESCRIBE,
    DID,
    OTHER_DID,
    PDS,
    RESOLVE,
    STATUS,
    World,
    document,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import answer, refusal

HOSTED = "alice.bsky.social"
ENTRYWAY = "bsky.social"
LOGIN = f"POST {ENTRYWAY}/xrpc/{CREATE}"
NAME = f"GET {ENTRYWAY}/xrpc/{RESOLVE}"
OWN = document(claims=(f"at://{HOSTED}",))
REJECTED = refusal(401, "AuthenticationRequired")


@pytest.fixture
def hosted(world: World) -> World:
    """Alice lives at a PDS of the hosted service."""
    world.reply("plc.directory", answer(200, OWN))
    world.reply(LOGIN, answer(200, session(handle=HOSTED, didDoc=OWN)))
    world.reply(f"POST {ENTRYWAY}/xrpc/{DELETE}", answer(200, {}))
    world.reply(NAME, answer(200, {"did": DID}))
    return world


def asked(world: World) -> list[tuple[str, str]]:
    """Hosts and the last part of what they were asked for."""
    return [
        (one.headers["host"], one.url.partition("?")[0].rpartition("/")[2].rpartition(".")[2])
        for one in world.network.requests
    ]


@pytest.mark.parametrize(
    "pasted", [HOSTED, "@Alice.bsky.social", "alice", "https://bsky.app/profile/alice.bsky.social"]
)
def test_one_request_connects(hosted: World, pasted: str) -> None:
    account = hosted.connect(pasted)
    assert (account.external_id, account.name, account.host) == (DID, HOSTED, f"https://{PDS}")
    assert asked(hosted) == [(ENTRYWAY, "createSession")]
    assert hosted.network.requests[0].json() == {"identifier": HOSTED, "password": APP_PASSWORD}
    assert hosted.pace.logins == [(ENTRYWAY, HOSTED)]


def test_who_is_asked_before_the_login_is_told_the_name_alone(hosted: World) -> None:
    told: list[tuple[str | None, str | None]] = []
    hosted.bluesky.connect(
        Credentials(HOSTED, APP_PASSWORD),
        deadline=hosted.deadline(),
        before_login=lambda external_id, name: told.append((external_id, name)),
    )
    assert told == [(None, HOSTED)]


def test_who_wants_to_know_first_is_told_the_account(hosted: World) -> None:
    told: list[tuple[str | None, str | None]] = []
    hosted.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(handle=HOSTED)))
    hosted.bluesky.connect(
        Credentials(HOSTED, APP_PASSWORD),
        deadline=hosted.deadline(),
        before_login=lambda external_id, name: told.append((external_id, name)),
        looks_first=True,
    )
    assert told == [(DID, HOSTED)]
    assert [call for _, call in asked(hosted)] == ["resolveHandle", f"{DID}".rpartition(".")[2], "createSession"]


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        (HOSTED, HOSTED),
        ("ALICE", HOSTED),
        ("alice.example.com", None),
        (DID, None),
        ("not a handle", None),
        ("bsky.social", None),
        ("alice.bsky.social.example.com", None),
        ("alicebsky.social", None),
    ],
)
def test_only_names_of_its_own_log_in_by_name(hosted: World, identifier: str, name: str | None) -> None:
    assert hosted.bluesky.login_name(Credentials(identifier, APP_PASSWORD)) == name


def test_their_turns_are_taken_at_the_entryway_before_they_log_in(hosted: World) -> None:
    with hosted.bluesky.ahead([HOSTED]):
        assert hosted.connect(HOSTED).name == HOSTED
    assert hosted.pace.ahead_of == hosted.pace.logins == [(ENTRYWAY, HOSTED)]


def test_a_session_without_a_document_costs_a_look_into_the_directory(hosted: World) -> None:
    hosted.reply(LOGIN, answer(200, session(handle=HOSTED)))
    assert hosted.connect(HOSTED).host == f"https://{PDS}"
    assert [host for host, _ in asked(hosted)] == [ENTRYWAY, "plc.directory"]


def test_an_old_document_is_looked_up_anew(hosted: World) -> None:
    old = document(claims=("at://alice-before.bsky.social",))
    hosted.reply(LOGIN, answer(200, session(handle=HOSTED, didDoc=old)))
    assert hosted.connect(HOSTED).name == HOSTED
    assert [host for host, _ in asked(hosted)] == [ENTRYWAY, "plc.directory"]


@pytest.mark.parametrize(
    ("known", "error"),
    [
        (document(claims=("at://other.bsky.social",)), HandleMismatch),
        (document(OTHER_DID, claims=(f"at://{HOSTED}",)), IdentityUnusable),
        (document(claims=(f"at://{HOSTED}",), endpoint="ftp://pds.example.com"), IdentityUnusable),
    ],
    ids=["another name", "another account", "no server"],
)
def test_a_session_that_the_directory_does_not_confirm_is_ended(
    hosted: World, known: object, error: type[PlatformError]
) -> None:
    hosted.reply(LOGIN, answer(200, session(handle=HOSTED, didDoc=known)))
    hosted.reply("plc.directory", answer(200, known))
    with pytest.raises(error):
        hosted.connect(HOSTED)
    assert asked(hosted)[-1] == (ENTRYWAY, "deleteSession")


@pytest.mark.parametrize("did", ["did:key:zabc", "", "alice", "did:web:localhost"])
def test_a_session_of_nobody_is_a_failure_and_is_ended(hosted: World, did: str) -> None:
    hosted.reply(LOGIN, answer(200, session(did=did, handle=HOSTED, didDoc=OWN)))
    with pytest.raises(UpstreamFailed):
        hosted.connect(HOSTED)
    assert asked(hosted)[-1] == (ENTRYWAY, "deleteSession")


def test_the_main_password_is_refused_and_its_session_ended(hosted: World) -> None:
    hosted.reply(LOGIN, answer(200, session(handle=HOSTED, didDoc=OWN, accessJwt=token("com.atproto.access"))))
    with pytest.raises(MainPasswordRejected):
        hosted.connect(HOSTED)
    assert asked(hosted) == [(ENTRYWAY, "createSession"), (ENTRYWAY, "deleteSession")]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(401, "AuthFactorTokenRequired"), MainPasswordRejected),
        (refusal(429, "RateLimitExceeded"), UpstreamRateLimited),
        (answer(502, content=b"<html>"), UpstreamFailed),
    ],
)
def test_what_says_nothing_of_the_account_is_told_after_one_request(
    hosted: World, reply: bytes, error: type[PlatformError]
) -> None:
    hosted.reply(LOGIN, reply)
    with pytest.raises(error):
        hosted.connect(HOSTED)
    assert asked(hosted) == [(ENTRYWAY, "createSession")]


class TestRejected:
    """The entryway answers alike whether there is such an account, or whether it has moved: so it is looked up."""

    def test_a_wrong_password(self, hosted: World) -> None:
        hosted.connect(HOSTED)
        hosted.network.requests.clear()
        hosted.reply(LOGIN, REJECTED)
        told: list[tuple[str | None, str | None]] = []
        with pytest.raises(CredentialsRejected):
            hosted.bluesky.connect(
                Credentials(HOSTED, APP_PASSWORD),
                deadline=hosted.deadline(),
                before_login=lambda external_id, name: told.append((external_id, name)),
            )
        assert hosted.calls(CREATE) == 1
        # Counted under both names: a guesser gains nothing by using them in turn.
        assert told == [(None, HOSTED), (DID, HOSTED)]

    def test_no_such_account(self, hosted: World) -> None:
        hosted.reply(LOGIN, REJECTED)
        hosted.reply(NAME, refusal(400, "InvalidRequest"))
        hosted.reply(f"GET {ENTRYWAY}/xrpc/{DESCRIBE}", refusal(400, "RepoNotFound"))
        with pytest.raises(HandleNotFound):
            hosted.connect(HOSTED)

    @pytest.mark.parametrize("name", ["RepoTakendown", "RepoDeactivated"])
    def test_an_account_that_does_not_resolve_because_it_is_unavailable(self, hosted: World, name: str) -> None:
        hosted.reply(LOGIN, REJECTED)
        hosted.reply(NAME, refusal(400, "InvalidRequest"))
        hosted.reply(f"GET {ENTRYWAY}/xrpc/{DESCRIBE}", refusal(400, name))
        with pytest.raises(AccountUnavailable):
            hosted.connect(HOSTED)

    def test_an_account_that_is_taken_down(self, hosted: World) -> None:
        hosted.connect(HOSTED)
        hosted.reply(LOGIN, REJECTED)
        hosted.reply(f"GET {PDS}/xrpc/{STATUS}", answer(200, {"did": DID, "active": False, "status": "takendown"}))
        with pytest.raises(AccountUnavailable):
            hosted.connect(HOSTED)

    def test_nobody_can_say(self, hosted: World) -> None:
        """The rejection stands: nothing was found that speaks against it."""
        hosted.reply(LOGIN, REJECTED)
        hosted.reply(NAME, answer(503, content=b""))
        with pytest.raises(CredentialsRejected):
            hosted.connect(HOSTED)

    @pytest.mark.parametrize(
        "reply",
        [REJECTED, answer(200, session(handle=HOSTED, didDoc=OWN, active=False, status="deactivated"))],
        ids=["rejected", "deactivated"],
    )
    def test_an_account_that_has_moved_away_logs_in_where_it_lives(self, hosted: World, reply: bytes) -> None:
        hosted.reply(LOGIN, reply)
        hosted.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(handle=HOSTED, refreshJwt="from-its-own-server")))
        account = hosted.connect(HOSTED)
        assert (account.host, account.session.refresh_token) == (f"https://{PDS}", "from-its-own-server")
        assert [host for host, call in asked(hosted) if call == "createSession"] == [ENTRYWAY, PDS]

    def test_the_same_server_is_not_asked_twice(self, hosted: World) -> None:
        """Refused logins count against the account."""
        hosted.reply("plc.directory", answer(200, document(claims=(f"at://{HOSTED}",), endpoint=f"https://{ENTRYWAY}")))
        hosted.reply(LOGIN, REJECTED)
        with pytest.raises(CredentialsRejected):
            hosted.connect(HOSTED)
        assert hosted.calls(CREATE) == 1
