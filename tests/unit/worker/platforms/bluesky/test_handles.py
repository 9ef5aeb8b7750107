"""Handle to DID by DNS, web site and authority; names and hosts are injected."""

from pathlib import Path

import pytest

from connections.errors import (
    AccountUnavailable,
    HandleMismatch,
    HandleNotFound,
    HostNotAllowed,
    PlatformError,
    UpstreamFailed,
)
from connections.settings import Settings
from tests.unit.worker.platforms.bluesky.conftest import (
    APP_PASSWORD,
    CREATE,
    DESCRIBE,
    DID,
    HANDLE,
    OTHER_DID,
    PDS,
    RESOLVE,
    World,
    document,
    session,
)
from tests.unit.worker.platforms.fakes import PUBLIC, Asked, answer, refusal
from worker.egress import ConnectFailed, NameUnavailable
from worker.platforms.bluesky.handles import dids_in

RECORD = f"_atproto.{HANDLE}"
SITE = f"GET {HANDLE}/.well-known/atproto-did"
HOSTED = "alice.bsky.social"


def site(text: str, status: int = 200) -> bytes:
    return answer(status, content=text.encode(), headers={"content-type": "text/plain"})


class TestOwnDomain:
    def test_a_quick_dns_spares_the_site(self, world: World) -> None:
        assert world.connect().external_id == DID
        assert HANDLE not in world.resolver.asked

    def test_a_slow_dns_is_overtaken_and_still_wins_the_conflict(self, world: World) -> None:
        def tell(_: Asked) -> bytes:
            world.resolver.may_tell.set()
            return site(OTHER_DID)

        world.resolver.may_tell.clear()
        world.network.handlers[SITE] = tell
        assert world.connect().external_id == DID
        assert HANDLE in world.resolver.asked

    def test_a_slow_dns_makes_up_for_trouble_at_the_site(self, world: World) -> None:
        def tell(_: Asked) -> bytes:
            world.resolver.may_tell.set()
            return site("busy", 503)

        world.resolver.may_tell.clear()
        world.network.handlers[SITE] = tell
        assert world.connect().external_id == DID

    def test_the_site_answers_where_the_dns_has_no_record(self, world: World) -> None:
        world.resolver.records = {}
        world.reply(SITE, site(f"  {DID}\n"))
        assert world.connect().external_id == DID

    def test_the_site_answers_where_the_dns_fails(self, world: World) -> None:
        world.resolver.records[RECORD] = NameUnavailable("silence")
        world.reply(SITE, site(DID))
        assert world.connect().external_id == DID

    def test_the_site_may_redirect_within_reason(self, world: World) -> None:
        world.resolver.records = {}
        world.resolver.hosts["www.example.com"] = [PUBLIC]
        world.reply(SITE, answer(301, headers={"location": "https://www.example.com/did"}))
        world.reply("GET www.example.com/did", site(DID))
        assert world.connect().external_id == DID

    @pytest.mark.parametrize(
        "page",
        [
            site("not found", 404),
            site("gone", 410),
            site("<html>welcome</html>"),
            site(f"did={DID}"),
            site(f"{DID} {DID}"),
            site("did:plc:short"),
            site("x" * 100_000),
            answer(200, content=b"\xff\xfe"),
            answer(200, content=b"\x1f\x8b", headers={"content-encoding": "gzip"}),
            answer(302, headers={"location": "http://www.example.com/"}),
            answer(302, headers={"location": f"https://{HANDLE}/.well-known/atproto-did"}),
        ],
    )
    def test_a_site_without_the_file_is_nobodys_handle(self, world: World, page: bytes) -> None:
        world.resolver.records = {}
        world.reply(SITE, page)
        with pytest.raises(HandleNotFound):
            world.connect()

    def test_no_such_domain(self, world: World) -> None:
        with pytest.raises(HandleNotFound):
            world.connect("nobody.example.com")
        assert world.network.requests == []

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_a_site_in_trouble_is_temporary(self, world: World, status: int) -> None:
        world.resolver.records = {}
        world.reply(SITE, site("busy", status))
        with pytest.raises(UpstreamFailed):
            world.connect()

    def test_a_silent_dns_without_the_file_is_temporary(self, world: World) -> None:
        world.resolver.records[RECORD] = NameUnavailable("silence")
        with pytest.raises(UpstreamFailed):
            world.connect()

    def test_an_unreachable_site_without_a_record_is_temporary(self, world: World) -> None:
        world.resolver.records = {}
        world.resolver.hosts[HANDLE] = ConnectFailed("refused")
        with pytest.raises(UpstreamFailed):
            world.connect()

    def test_a_site_inside_is_not_asked(self, world: World) -> None:
        world.resolver.records = {}
        world.resolver.hosts[HANDLE] = ["10.0.0.1"]
        with pytest.raises(HostNotAllowed):
            world.connect()
        assert world.network.dialled == []

    def test_two_dids_are_a_failure(self, world: World) -> None:
        world.resolver.records[RECORD] = [f"did={DID}".encode(), f"did={OTHER_DID}".encode()]
        world.reply(SITE, site(DID))
        with pytest.raises(HandleNotFound):
            world.connect()

    def test_a_failure_to_find_out_is_not_remembered(self, world: World) -> None:
        world.resolver.records[RECORD] = NameUnavailable("silence")
        with pytest.raises(UpstreamFailed):
            world.connect()
        world.resolver.records[RECORD] = [f"did={DID}".encode()]
        assert world.connect().external_id == DID

    def test_an_answer_is_remembered(self, world: World) -> None:
        world.connect()
        world.connect()
        assert world.resolver.asked.count(RECORD) == 1
        assert world.calls(f"/{DID}") == 1

    def test_an_absence_is_remembered_for_a_while(self, world: World) -> None:
        for _ in range(2):
            with pytest.raises(HandleNotFound):
                world.connect("nobody.example.com")
        assert world.resolver.asked.count("_atproto.nobody.example.com") == 1


@pytest.mark.parametrize(
    ("records", "dids"),
    [
        ([], set()),
        ([f"did={DID}"], {DID}),
        ([f"did={DID}", f"did={DID}"], {DID}),
        ([f"did={DID}", f"did={OTHER_DID}"], {DID, OTHER_DID}),
        (["v=spf1 -all", "did=", "did=did:plc:short", f"DID={DID}", f" did={DID}", f"did={DID} "], set()),
    ],
)
def test_only_records_of_the_exact_shape_count(records: list[str], dids: set[str]) -> None:
    assert dids_in(record.encode() for record in records) == dids


class TestHosted:
    """Under the hosted service's domain its entryway is asked, over a connection that is open anyway.

    Where the login does not tell everything at once, that is: `test_entryway.py`.
    """

    @pytest.fixture(autouse=True)
    def _alice_is_hosted(self, world: World) -> None:
        world.reply(f"GET bsky.social/xrpc/{RESOLVE}", answer(200, {"did": DID}))
        world.reply("plc.directory", answer(200, document(claims=(f"at://{HOSTED}",))))

    @pytest.mark.parametrize("identifier", [HOSTED, "alice"])
    def test_the_entryway_knows(self, world: World, identifier: str) -> None:
        assert world.connect(identifier, looks_first=True).name == HOSTED
        assert "_atproto.alice.bsky.social" not in world.resolver.asked
        assert "alice.bsky.social" not in world.resolver.asked

    def test_it_is_not_simply_believed(self, world: World) -> None:
        world.reply("plc.directory", answer(200, document(claims=("at://bob.bsky.social",))))
        with pytest.raises(HandleMismatch):
            world.connect(HOSTED, looks_first=True)

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (answer(200, {"did": "did:plc:short"}), UpstreamFailed),
            (answer(200, {"handle": HOSTED}), UpstreamFailed),
            (answer(200, content=b"<html>"), UpstreamFailed),
            (refusal(500, "InternalServerError"), UpstreamFailed),
            (answer(302, headers={"location": "https://elsewhere.example.com"}), UpstreamFailed),
        ],
    )
    def test_it_can_fail(self, world: World, reply: bytes, error: type[PlatformError]) -> None:
        world.reply(f"GET bsky.social/xrpc/{RESOLVE}", reply)
        with pytest.raises(error):
            world.connect(HOSTED, looks_first=True)
        assert world.calls(CREATE) == 0


class TestUnresolvedByItsAuthority:
    """`resolveHandle` is silent about accounts that are deactivated or taken down; `describeRepo` tells why."""

    @pytest.fixture(autouse=True)
    def _unresolved(self, world: World) -> None:
        world.reply(f"GET bsky.social/xrpc/{RESOLVE}", refusal(400, "InvalidRequest"))

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (refusal(400, "RepoNotFound"), HandleNotFound),
            (refusal(400, "RepoTakendown"), AccountUnavailable),
            (refusal(400, "RepoSuspended"), AccountUnavailable),
            (refusal(400, "RepoDeactivated"), AccountUnavailable),
            (refusal(400, "InvalidRequest"), HandleNotFound),
            (refusal(503, "InternalServerError"), UpstreamFailed),
            (answer(200, {"handle": HOSTED, "did": DID}), UpstreamFailed),
        ],
    )
    def test_why(self, world: World, reply: bytes, error: type[PlatformError]) -> None:
        world.reply(f"GET bsky.social/xrpc/{DESCRIBE}", reply)
        with pytest.raises(error):
            world.connect(HOSTED, looks_first=True)
        assert world.calls(CREATE) == 0

    def test_no_password_is_sent_for_an_account_that_was_not_found(self, world: World) -> None:
        world.reply(f"GET bsky.social/xrpc/{DESCRIBE}", refusal(400, "RepoNotFound"))
        with pytest.raises(HandleNotFound):
            world.connect(HOSTED, looks_first=True)
        assert not [asked for asked in world.network.requests if APP_PASSWORD.encode() in asked.body]


def test_did_web(world: World) -> None:
    did = "did:web:alice.example.org"
    world.resolver.hosts["alice.example.org"] = [PUBLIC]
    world.reply("GET alice.example.org/.well-known/did.json", answer(200, document(did, claims=())))
    world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(did=did)))
    account = world.connect(did)
    assert (account.external_id, account.name) == (did, None)


@pytest.mark.parametrize(
    ("addresses", "page", "code"),
    [
        (["10.0.0.1"], answer(200, document()), "host_not_allowed"),
        ([PUBLIC], answer(404), "identity_unusable"),
        ([PUBLIC], answer(200, document()), "identity_unusable"),
        ([PUBLIC], answer(200, content=b"<html>"), "identity_unusable"),
    ],
)
def test_did_web_tricks(world: World, addresses: list[str], page: bytes, code: str) -> None:
    world.resolver.hosts["alice.example.org"] = addresses
    world.reply("GET alice.example.org/.well-known/did.json", page)
    with pytest.raises(PlatformError) as caught:
        world.connect("did:web:alice.example.org")
    assert [issue.code for issue in caught.value.issues] == [code]


def test_test_handles_are_the_local_servers(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(var_dir=tmp_path_factory.mktemp("var"), dev_pds_url="http://127.0.0.1:2583")
    world = World(settings)
    world.resolver.hosts["localhost"] = ["127.0.0.1"]
    world.reply(f"GET 127.0.0.1:2583/xrpc/{RESOLVE}", answer(200, {"did": DID}))
    world.reply("plc.directory", answer(200, document(claims=("at://alice.test",), endpoint="http://localhost:2583")))
    world.reply(f"POST localhost:2583/xrpc/{CREATE}", answer(200, session()))
    world.resolver.hosts["127.0.0.1"] = ["127.0.0.1"]
    assert world.connect("alice.test").host == "http://localhost:2583"
    world.bluesky.close()


def test_a_local_directory_is_asked_first_and_the_public_one_for_all_others(tmp_path: Path) -> None:
    settings = Settings(var_dir=tmp_path, dev_plc_url="http://127.0.0.1:2582")
    world = World(settings)
    world.resolver.hosts["127.0.0.1"] = ["127.0.0.1"]
    world.reply(f"GET 127.0.0.1:2582/{DID}", answer(404))
    assert world.connect().external_id == DID
    world.bluesky.close()

    world = World(settings)
    world.resolver.hosts["127.0.0.1"] = ["127.0.0.1"]
    world.reply(f"GET 127.0.0.1:2582/{DID}", answer(200, document()))
    assert world.connect().external_id == DID
    assert "plc.directory" not in world.resolver.asked
    world.bluesky.close()
