"""Going on with a session: what an answer means, and where an account is looked for."""

import pytest

from connections.errors import (
    AccountMoved,
    AccountUnavailable,
    HostFailing,
    OutOfBudget,
    PlatformError,
    SessionEnded,
    UpstreamFailed,
    UpstreamRateLimited,
)
from connections.verified import Refreshed, Session, Standing, StoredAccount
from tests.unit.worker.platforms.bluesky.conftest import (
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
from tests.unit.worker.platforms.fakes import PUBLIC, answer, refusal
from worker.egress import AddressRefused, ConnectFailed, NoSuchName

REFRESH = "com.atproto.server.refreshSession"
NEW_PDS = "new.example.com"
HERE = f"POST {PDS}/xrpc/{REFRESH}"
THERE = f"POST {NEW_PDS}/xrpc/{REFRESH}"
LOOK = f"GET {PDS}/xrpc/{STATUS}"
RENEWED = {"accessJwt": token("com.atproto.appPass"), "refreshJwt": "refresh-token-2"}
REVOKED = refusal(400, "ExpiredToken")
PAGE = answer(502, content=b"<html>Bad gateway</html>")


@pytest.fixture(autouse=True)
def kept(world: World) -> None:
    """The session is refreshed where it was opened; there is another server, which knows nobody."""
    world.resolver.hosts[NEW_PDS] = (PUBLIC,)
    world.reply(HERE, answer(200, session(**RENEWED)))
    world.reply(THERE, REVOKED)


def moves(world: World) -> None:
    world.reply("plc.directory", answer(200, document(endpoint=f"https://{NEW_PDS}")))


def refresh(world: World, *, name: str | None = HANDLE) -> Refreshed:
    account = StoredAccount(DID, name, f"https://{PDS}", Session("access-token", "refresh-token"))
    return world.bluesky.refresh(account, deadline=world.deadline())


def test_a_new_session(world: World) -> None:
    assert refresh(world) == Refreshed(
        Session(RENEWED["accessJwt"], RENEWED["refreshJwt"]), HANDLE, f"https://{PDS}", Standing.ACTIVE
    )
    [asked] = world.network.calls(REFRESH)
    assert asked.headers["authorization"] == "Bearer refresh-token"
    assert asked.body == b""
    assert not asked_at(world, "plc.directory")  # a good answer needs no look-up


def asked_at(world: World, host: str) -> int:
    return sum(asked == host for asked, _, _ in world.pace.requests)


NAMED = {
    "revoked": (REVOKED, SessionEnded),
    "expired, in other servers' words": (refusal(401, "ExpiredToken"), SessionEnded),
    "not its own": (refusal(400, "InvalidToken"), SessionEnded),
    "not its own, 401": (refusal(401, "InvalidToken"), SessionEnded),
    "unknown": (refusal(401, "AuthenticationRequired"), SessionEnded),
    "taken down": (refusal(401, "AccountTakedown"), AccountUnavailable),
    "suspended": (refusal(401, "AccountSuspended"), AccountUnavailable),
}
TEMPORARY = {
    "a proxy's page": PAGE,
    "a proxy's page that refuses": answer(401, content=b"<html>Who are you?</html>"),
    "nothing there": answer(404, content=b"<html>Nothing here</html>"),
    "a failure by name": refusal(500, "InternalServerError"),
    "the words of a refusal in a failure": refusal(502, "ExpiredToken"),
    "words nobody knows": refusal(400, "SomethingNew"),
    "deactivated, as an error": refusal(400, "AccountDeactivated"),
    "no JSON": answer(200, content=b"{"),
    "no tokens": answer(200, {"did": DID, "handle": HANDLE}),
    "another account's session": answer(200, session(did=OTHER_DID, **RENEWED)),
    "a token that no header carries": answer(200, session(accessJwt="a b", refreshJwt="c")),
    "a method it does not have": refusal(501, "MethodNotImplemented"),
}


@pytest.mark.parametrize(("said", "error"), NAMED.values(), ids=NAMED)
def test_what_a_pds_says_by_name_is_final(world: World, said: bytes, error: type[PlatformError]) -> None:
    world.reply(HERE, said)
    with pytest.raises(error) as caught:
        refresh(world)
    assert type(caught.value) is error
    assert len(world.network.calls(REFRESH)) == 1
    assert asked_at(world, "plc.directory") == 1  # looked up afresh before it counts


@pytest.mark.parametrize("said", TEMPORARY.values(), ids=TEMPORARY)
def test_anything_else_passes(world: World, said: bytes) -> None:
    world.reply(HERE, said)
    with pytest.raises(UpstreamFailed):
        refresh(world)


@pytest.mark.parametrize("status", [429, 400])
def test_a_rate_limit_passes_and_asks_nobody_else(world: World, status: int) -> None:
    world.reply(HERE, refusal(status, "RateLimitExceeded", {"retry-after": "77"}))
    with pytest.raises(UpstreamRateLimited) as caught:
        refresh(world)
    assert caught.value.retry_after == 77
    assert not asked_at(world, "plc.directory")


def test_a_deleted_account_is_told_by_its_repository(world: World) -> None:
    world.reply(HERE, refusal(400, "InvalidRequest"))
    world.reply(LOOK, refusal(400, "RepoNotFound"))
    with pytest.raises(SessionEnded):
        refresh(world)


@pytest.mark.parametrize("said", [answer(200, {"did": DID, "active": True}), PAGE, refusal(400, "InvalidRequest")])
def test_a_request_that_a_pds_does_not_like_ends_nothing(world: World, said: bytes) -> None:
    world.reply(HERE, refusal(400, "InvalidRequest"))
    world.reply(LOOK, said)
    with pytest.raises(UpstreamFailed):
        refresh(world)


@pytest.mark.parametrize("status", ["takendown", "suspended"])
def test_a_takedown_in_a_session(world: World, status: str) -> None:
    world.reply(HERE, answer(200, session(active=False, status=status, **RENEWED)))
    with pytest.raises(AccountUnavailable):
        refresh(world)
    [ended] = world.network.calls(DELETE)
    assert ended.headers["authorization"] == "Bearer refresh-token-2"


def test_a_takedown_by_the_scope(world: World) -> None:
    world.reply(HERE, answer(200, session(accessJwt=token("com.atproto.takendown"))))
    with pytest.raises(AccountUnavailable):
        refresh(world)


def test_a_deactivated_account_keeps_its_session(world: World) -> None:
    world.reply(HERE, answer(200, session(active=False, status="deactivated", **RENEWED)))
    refreshed = refresh(world)
    assert (refreshed.standing, refreshed.session.refresh_token) == (Standing.DEACTIVATED, "refresh-token-2")


@pytest.mark.parametrize("said", [REVOKED, PAGE, refusal(401, "AccountTakedown")])
def test_an_account_that_moved_is_refreshed_at_its_new_server(world: World, said: bytes) -> None:
    moves(world)
    world.reply(HERE, said)
    world.reply(THERE, answer(200, session(**RENEWED)))
    assert refresh(world).host == f"https://{NEW_PDS}"
    [_, there] = world.network.calls(REFRESH)
    assert there.headers["authorization"] == "Bearer refresh-token"


@pytest.mark.parametrize(
    "gone",
    [NoSuchName("gone"), ("127.0.0.1",), ConnectFailed("refused")],
    ids=["no such name", "no public address", "nobody answers"],
)
def test_a_server_that_is_gone_is_left_behind(world: World, gone: object) -> None:
    moves(world)
    world.resolver.hosts[PDS] = gone  # type: ignore[assignment]
    world.reply(THERE, answer(200, session(**RENEWED)))
    assert refresh(world).host == f"https://{NEW_PDS}"


@pytest.mark.parametrize("gone", [NoSuchName("gone"), ("127.0.0.1",), ConnectFailed("refused"), AddressRefused("no")])
def test_a_server_that_is_gone_ends_nothing_while_the_document_names_it(world: World, gone: object) -> None:
    world.resolver.hosts[PDS] = gone  # type: ignore[assignment]
    with pytest.raises(UpstreamFailed):
        refresh(world)


def test_refused_there_too(world: World) -> None:
    moves(world)
    world.reply(HERE, REVOKED)
    with pytest.raises(AccountMoved):
        refresh(world)
    assert len(world.network.calls(REFRESH)) == 2


def test_a_failure_there_passes(world: World) -> None:
    moves(world)
    world.reply(HERE, REVOKED)
    world.reply(THERE, PAGE)
    with pytest.raises(UpstreamFailed):
        refresh(world)


def test_a_refusal_counts_for_nothing_while_the_directory_does_not_answer(world: World) -> None:
    world.reply("plc.directory", PAGE)
    world.reply(HERE, REVOKED)
    with pytest.raises(UpstreamFailed):
        refresh(world)


def test_a_refusal_counts_when_the_identity_is_gone(world: World) -> None:
    world.reply("plc.directory", answer(410, {"message": "tombstoned"}))
    world.reply(HERE, REVOKED)
    with pytest.raises(SessionEnded):
        refresh(world)


def test_no_turn_at_the_directory_is_no_verdict(world: World) -> None:
    world.reply(HERE, REVOKED)
    world.pace.used_up.add("plc.directory")
    with pytest.raises(OutOfBudget):
        refresh(world)


def test_a_failing_server_is_not_asked_and_neither_is_the_directory(world: World) -> None:
    world.reply(HERE, PAGE)
    for number in range(10):
        account = StoredAccount(f"did:plc:{'abcdefghij'[number] * 24}", None, f"https://{PDS}", Session("a", "r"))
        with pytest.raises(UpstreamFailed):
            world.bluesky.refresh(account, deadline=world.deadline())
    asked = len(world.network.requests)
    with pytest.raises(HostFailing):
        refresh(world)
    assert len(world.network.requests) == asked


class TestDeactivatedAndGone:
    """What a server says of an account that has moved away from it."""

    @pytest.fixture(autouse=True)
    def left_behind(self, world: World, kept: None) -> None:
        moves(world)
        world.reply(HERE, answer(200, session(active=False, status="deactivated", **RENEWED)))

    def test_the_new_server_goes_on_with_it(self, world: World) -> None:
        world.reply(THERE, answer(200, session(accessJwt=token(), refreshJwt="refresh-token-3")))
        refreshed = refresh(world)
        assert (refreshed.host, refreshed.standing) == (f"https://{NEW_PDS}", Standing.ACTIVE)
        assert refreshed.session.refresh_token == "refresh-token-3"
        assert world.network.calls(REFRESH)[1].headers["authorization"] == "Bearer refresh-token-2"

    def test_the_new_server_knows_nothing_of_it(self, world: World) -> None:
        with pytest.raises(AccountMoved):
            refresh(world)
        [ended] = world.network.calls(DELETE)
        assert ended.headers["authorization"] == "Bearer refresh-token-2"

    def test_the_new_server_fails(self, world: World) -> None:
        world.reply(THERE, PAGE)
        refreshed = refresh(world)
        assert (refreshed.host, refreshed.standing) == (f"https://{PDS}", Standing.DEACTIVATED)

    def test_the_directory_fails(self, world: World) -> None:
        world.reply("plc.directory", PAGE)
        assert refresh(world).standing is Standing.DEACTIVATED


def test_a_server_that_names_another_is_believed_only_if_the_directory_does(world: World) -> None:
    elsewhere = session(didDoc=document(endpoint=f"https://{NEW_PDS}"), **RENEWED)
    world.reply(HERE, answer(200, elsewhere))
    assert refresh(world).host == f"https://{PDS}"
    moves(world)
    world.bluesky._identities._documents._known._entries.clear()
    assert refresh(world).host == f"https://{PDS}"  # it is active here, and not known there
    world.reply(THERE, answer(200, session(**RENEWED)))
    assert refresh(world).host == f"https://{NEW_PDS}"


class TestNames:
    RENAMED = "alice.renamed.com"

    @pytest.fixture(autouse=True)
    def renamed(self, world: World, kept: None) -> None:
        world.reply(HERE, answer(200, session(handle=self.RENAMED, **RENEWED)))
        world.reply("plc.directory", answer(200, document(claims=(f"at://{self.RENAMED}",))))
        world.resolver.hosts[self.RENAMED] = (PUBLIC,)
        world.resolver.records[f"_atproto.{self.RENAMED}"] = [f"did={DID}".encode()]

    def test_a_new_name_that_is_proved(self, world: World) -> None:
        assert refresh(world).name == self.RENAMED

    def test_a_name_that_leads_to_another(self, world: World) -> None:
        world.resolver.records[f"_atproto.{self.RENAMED}"] = [f"did={OTHER_DID}".encode()]
        assert refresh(world).name == HANDLE

    def test_a_name_that_is_not_claimed(self, world: World) -> None:
        world.reply("plc.directory", answer(200, document()))
        assert refresh(world).name == HANDLE

    def test_a_name_that_leads_nowhere(self, world: World) -> None:
        del world.resolver.records[f"_atproto.{self.RENAMED}"], world.resolver.hosts[self.RENAMED]
        assert refresh(world).name == HANDLE

    @pytest.mark.parametrize("said", ["handle.invalid", "", "not a handle", DID])
    def test_what_is_no_name(self, world: World, said: str) -> None:
        world.reply(HERE, answer(200, session(handle=said, **RENEWED)))
        assert refresh(world).name == HANDLE

    def test_a_directory_that_fails(self, world: World) -> None:
        world.reply("plc.directory", PAGE)
        assert refresh(world, name=None).name is None
