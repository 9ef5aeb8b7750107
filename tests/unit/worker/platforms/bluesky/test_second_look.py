"""Nobody is refused on the strength of a memory: moved accounts, renamed handles, and all that has not changed."""

import pytest

from connections.errors import (
    AccountUnavailable,
    AlreadyConnected,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    HostNotAllowed,
    IdentityUnusable,
    PlatformError,
    UpstreamFailed,
    UpstreamRateLimited,
)
from tests.unit.worker.platforms.bluesky.conftest import (
    CREATE,
    DELETE,
    DID,
    HANDLE,
    OTHER_DID,
    PDS,
    World,
    document,
    session,
)
from tests.unit.worker.platforms.fakes import PUBLIC, answer, refusal

NEW_PDS = "new.example.com"
LOGIN = f"POST {PDS}/xrpc/{CREATE}"
NEW_LOGIN = f"POST {NEW_PDS}/xrpc/{CREATE}"
RECORD = f"_atproto.{HANDLE}"

NEW_DOCUMENT = document(endpoint=f"https://{NEW_PDS}")
NEW_SESSION = session(refreshJwt="new-refresh-token", didDoc=NEW_DOCUMENT)

REFUSALS: dict[str, tuple[bytes, type[PlatformError]]] = {
    "wrong password": (refusal(401, "AuthenticationRequired"), CredentialsRejected),
    "taken down": (refusal(401, "AccountTakedown"), AccountUnavailable),
    "deactivated": (answer(200, session(active=False, status="deactivated")), AccountUnavailable),
    "another account": (answer(200, session(did=OTHER_DID)), IdentityUnusable),
    "document elsewhere": (answer(200, session(didDoc=NEW_DOCUMENT)), IdentityUnusable),
    "no such method": (refusal(501, "MethodNotImplemented"), IdentityUnusable),
}
each_refusal = pytest.mark.parametrize(("reply", "error"), REFUSALS.values(), ids=REFUSALS)


@pytest.fixture
def knowing(world: World) -> World:
    """A worker that has connected Alice a moment ago; the new server is there and knows her."""
    return taught(world)


def taught(world: World) -> World:
    world.resolver.hosts = {**world.resolver.hosts, NEW_PDS: [PUBLIC]}
    world.reply(NEW_LOGIN, answer(200, NEW_SESSION))
    world.connect()
    world.network.requests.clear()
    world.resolver.asked.clear()
    return world


def move(world: World) -> None:
    world.reply("plc.directory", answer(200, NEW_DOCUMENT))


def logins(world: World) -> list[str]:
    return [asked.headers["host"] for asked in world.network.calls(CREATE)]


def look_ups(world: World) -> tuple[int, int]:
    """How often the handle and the document were asked for."""
    return world.resolver.asked.count(RECORD), world.calls(f"/{DID}")


@each_refusal
@pytest.mark.parametrize("identifier", [HANDLE, DID])
def test_an_account_that_has_moved_is_followed(
    knowing: World, reply: bytes, error: type[PlatformError], identifier: str
) -> None:
    move(knowing)
    knowing.reply(LOGIN, reply)
    account = knowing.connect(identifier)
    assert (account.host, account.session.refresh_token) == (f"https://{NEW_PDS}", "new-refresh-token")
    assert logins(knowing) == [PDS, NEW_PDS]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], []], ids=["inside", "none"])
def test_an_account_whose_old_host_cannot_be_called_is_followed(knowing: World, addresses: list[str]) -> None:
    knowing.egress.close()
    knowing.resolver.hosts = {**knowing.resolver.hosts, PDS: addresses}
    if not addresses:
        del knowing.resolver.hosts[PDS]
    move(knowing)
    assert knowing.connect().host == f"https://{NEW_PDS}"


@each_refusal
def test_without_a_change_the_refusal_stands_after_one_login(
    knowing: World, reply: bytes, error: type[PlatformError]
) -> None:
    knowing.reply(LOGIN, reply)
    with pytest.raises(error):
        knowing.connect()
    assert logins(knowing) == [PDS]
    assert look_ups(knowing) == (1, 1)


@each_refusal
def test_what_was_just_found_is_not_looked_up_again(world: World, reply: bytes, error: type[PlatformError]) -> None:
    world.reply(LOGIN, reply)
    with pytest.raises(error):
        world.connect()
    assert logins(world) == [PDS]
    assert look_ups(world) == (1, 1)


def test_the_refusal_stands_where_the_directory_cannot_be_asked(knowing: World) -> None:
    knowing.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    knowing.reply("plc.directory", answer(503))
    with pytest.raises(CredentialsRejected):
        knowing.connect()
    assert logins(knowing) == [PDS]


def test_the_new_server_has_the_last_word(knowing: World) -> None:
    move(knowing)
    knowing.reply(LOGIN, answer(200, session(active=False)))
    knowing.reply(NEW_LOGIN, refusal(401, "AuthenticationRequired"))
    with pytest.raises(CredentialsRejected):
        knowing.connect()
    assert logins(knowing) == [PDS, NEW_PDS]
    assert knowing.calls(DELETE) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [(answer(503), UpstreamFailed), (refusal(429, "RateLimitExceeded"), UpstreamRateLimited)],
)
def test_a_temporary_failure_is_no_refusal(knowing: World, reply: bytes, error: type[PlatformError]) -> None:
    knowing.reply(LOGIN, reply)
    with pytest.raises(error):
        knowing.connect()
    assert look_ups(knowing) == (0, 0)


def test_a_deleted_account_is_told_as_such(knowing: World) -> None:
    knowing.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    knowing.reply("plc.directory", answer(410))
    with pytest.raises(IdentityUnusable, match="deleted"):
        knowing.connect()


def test_an_endpoint_that_has_become_unusable_is_told_as_such(knowing: World) -> None:
    knowing.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    knowing.reply("plc.directory", answer(200, document(endpoint="ftp://files.example.com")))
    with pytest.raises(IdentityUnusable, match="names no usable server"):
        knowing.connect()


def test_a_new_host_that_is_not_public_gets_no_password(knowing: World) -> None:
    knowing.resolver.hosts[NEW_PDS] = ["10.0.0.1"]
    move(knowing)
    knowing.reply(LOGIN, refusal(401, "AuthenticationRequired"))
    with pytest.raises(HostNotAllowed):
        knowing.connect()
    assert ("10.0.0.1", 443) not in knowing.network.dialled


class TestHandles:
    @pytest.fixture(params=[120.0, 0.0], ids=["document remembered", "document forgotten"])
    def passed_on(self, world: World, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
        """The handle, which is remembered, belongs to somebody else now, who lives at the new server."""
        monkeypatch.setattr("worker.platforms.bluesky.documents.FOUND_SECONDS", request.param)
        knowing = taught(world)
        theirs = document(OTHER_DID, endpoint=f"https://{NEW_PDS}")
        knowing.resolver.records[RECORD] = [f"did={OTHER_DID}".encode()]
        knowing.reply(f"GET plc.directory/{OTHER_DID}", answer(200, theirs))
        knowing.reply(f"GET plc.directory/{DID}", answer(200, document(claims=("at://former.example.com",))))
        knowing.reply(NEW_LOGIN, answer(200, session(did=OTHER_DID, didDoc=theirs)))
        return knowing

    def test_the_one_who_has_the_handle_now_is_connected(self, passed_on: World) -> None:
        passed_on.reply(LOGIN, refusal(401, "AuthenticationRequired"))
        assert passed_on.connect().external_id == OTHER_DID

    def test_a_former_holder_who_deleted_the_account_gives_way(self, passed_on: World) -> None:
        passed_on.reply(LOGIN, refusal(401, "AuthenticationRequired"))
        passed_on.reply(f"GET plc.directory/{DID}", answer(410))
        assert passed_on.connect().external_id == OTHER_DID

    def test_who_has_it_now_may_live_at_the_same_server(self, passed_on: World) -> None:
        theirs = document(OTHER_DID)
        passed_on.reply(f"GET plc.directory/{OTHER_DID}", answer(200, theirs))
        passed_on.network.handlers[LOGIN] = lambda asked: (
            answer(200, session(did=OTHER_DID))
            if asked.json()["identifier"] == OTHER_DID
            else refusal(401, "AuthenticationRequired")
        )
        assert passed_on.connect().external_id == OTHER_DID

    def test_somebody_else_being_connected_already_is_no_refusal(self, passed_on: World) -> None:
        assert passed_on.connect(connected={DID}).external_id == OTHER_DID

    def test_the_same_account_being_connected_already_is_one(self, knowing: World) -> None:
        with pytest.raises(AlreadyConnected):
            knowing.connect(connected={DID})
        assert logins(knowing) == []

    def test_a_handle_that_was_given_up_is_not_found(self, knowing: World) -> None:
        knowing.resolver.records = {}
        knowing.reply(LOGIN, refusal(401, "AuthenticationRequired"))
        with pytest.raises(HandleNotFound):
            knowing.connect()

    def test_a_new_handle_of_a_remembered_account_is_its_own(self, knowing: World) -> None:
        renamed = "alice.example.org"
        knowing.resolver.records[f"_atproto.{renamed}"] = [f"did={DID}".encode()]
        knowing.reply("plc.directory", answer(200, document(claims=(f"at://{renamed}",))))
        assert knowing.connect(renamed).name == renamed
        assert logins(knowing) == [PDS]

    def test_a_mismatch_that_is_one_is_told_after_one_fresh_look(self, knowing: World) -> None:
        stranger = "stranger.example.org"
        knowing.resolver.records[f"_atproto.{stranger}"] = [f"did={DID}".encode()]
        with pytest.raises(HandleMismatch):
            knowing.connect(stranger)
        assert knowing.resolver.asked.count(f"_atproto.{stranger}") == 1
        assert knowing.calls(f"/{DID}") == 1
        assert logins(knowing) == []


def test_an_absence_is_believed_for_its_time(world: World) -> None:
    world.reply("plc.directory", answer(410))
    for _ in range(2):
        with pytest.raises(IdentityUnusable):
            world.connect()
    assert look_ups(world) == (2, 1)
