"""Hosts that many accounts share are left alone while they fail for everyone."""

from itertools import product

import pytest

from connections.errors import CredentialsRejected, HostFailing, UpstreamFailed
from tests.unit.worker.platforms.bluesky.conftest import CREATE, DELETE, DID, PDS, World, document, session
from tests.unit.worker.platforms.fakes import Asked, answer, refusal
from worker.circuit import FAILURES

DIDS = [f"did:plc:{first}{second}{'a' * 22}" for first, second in product("abcd", repeat=2)]


def documents(asked: Asked) -> bytes:
    return answer(200, document(asked.url.removeprefix("/"), claims=()))


def fail_for_everyone(world: World, identifiers: list[str]) -> None:
    for identifier in identifiers[:FAILURES]:
        with pytest.raises(UpstreamFailed) as caught:
            world.connect(identifier)
        assert not isinstance(caught.value, HostFailing)


def test_a_pds(world: World) -> None:
    world.network.handlers["plc.directory"] = documents
    world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(503, content=b"down"))
    fail_for_everyone(world, DIDS)
    logins = world.calls(CREATE)

    with pytest.raises(HostFailing):
        world.connect(DIDS[-1])
    assert world.calls(CREATE) == logins


def test_the_directory(world: World) -> None:
    world.reply("plc.directory", answer(500, content=b"down"))
    fail_for_everyone(world, DIDS)
    requests = len(world.network.requests)

    with pytest.raises(HostFailing):
        world.connect(DIDS[-1])
    assert len(world.network.requests) == requests


def test_the_hosted_services_entryway(world: World) -> None:
    world.reply("bsky.social", answer(502, content=b"down"))
    handles = [f"someone{number}.bsky.social" for number in range(FAILURES + 1)]
    fail_for_everyone(world, handles)

    with pytest.raises(HostFailing):
        world.connect(handles[-1])
    assert world.calls(CREATE) == FAILURES


def test_who_names_the_directory_as_their_server_closes_it_to_nobody(world: World) -> None:
    """It answers a login like any other address that it does not know, which is no answer of a PDS."""

    def directory(asked: Asked) -> bytes:
        did = asked.url.removeprefix("/")
        if did not in DIDS:
            return answer(404, content=b"no such identity")
        return answer(200, document(did, claims=(), endpoint="https://plc.directory"))

    world.network.handlers["plc.directory"] = directory
    fail_for_everyone(world, DIDS)
    world.network.handlers["plc.directory"] = documents
    fresh = f"did:plc:{'b' * 24}"
    world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(did=fresh)))

    assert world.connect(fresh).external_id == fresh


def test_a_pds_that_refuses_everyone_works(world: World) -> None:
    world.network.handlers["plc.directory"] = documents
    world.reply(f"POST {PDS}/xrpc/{CREATE}", refusal(401, "AuthenticationRequired"))
    for did in DIDS:
        with pytest.raises(CredentialsRejected):
            world.connect(did)


def end(world: World, account: str) -> None:
    world.bluesky.end_retired(account, f"https://{PDS}", "a-refresh-token", deadline=world.deadline())


def test_a_pds_that_ends_no_session_is_left_alone_with_that_and_opens_them_all_the_same(world: World) -> None:
    world.reply(f"POST {PDS}/xrpc/{DELETE}", answer(501, content=b"no such method"))
    for number in range(FAILURES):
        with pytest.raises(UpstreamFailed):
            end(world, f"sa_{number}")

    with pytest.raises(HostFailing):
        end(world, "sa_another")
    assert world.calls(DELETE) == FAILURES
    assert world.bluesky.open_circuits() == {"look_ups": 0, "logins": 0, "endings": 1}
    assert world.connect().external_id == DID
