"""Whose turn it is: asked before every request, on an internet in memory."""

import pytest

from connections.errors import CredentialsRejected, MainPasswordRejected, OutOfBudget
from tests.unit.worker.platforms.bluesky.conftest import (
    CREATE,
    DELETE,
    DID,
    HANDLE,
    PDS,
    STATUS,
    World,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import PUBLIC, answer, refusal
from worker.egress import Policy
from worker.pace import bulk

LOOK = "com.atproto.server.describeServer"


def test_every_request_has_its_turn_and_its_answer_is_told(world: World) -> None:
    with bulk():
        world.connect()
    assert world.pace.requests == [("plc.directory", "GET", True), (PDS, "POST", True)]
    assert world.pace.answers == [("plc.directory", 200), (PDS, 200)]
    assert world.pace.logins == [(PDS, DID)]


def test_the_host_is_counted_with_its_port(world: World) -> None:
    world.resolver.hosts["other.example.com"] = [PUBLIC]
    world.network.handlers["other.example.com:8443"] = lambda _: answer(200, {})
    world.egress.request("GET", "https://OTHER.example.com:8443/", deadline=1e12, policy=Policy(any_port=True))
    assert world.pace.requests == [("other.example.com:8443", "GET", False)]


def test_every_hop_has_its_own_turn(world: World) -> None:
    world.resolver.records = {}
    world.reply(HANDLE, answer(302, headers={"location": f"https://{PDS}/did"}))
    world.reply(f"GET {PDS}/did", answer(200, content=DID.encode()))
    world.connect()
    assert [host for host, _, _ in world.pace.requests] == [HANDLE, PDS, "plc.directory", PDS]


@pytest.mark.parametrize("host", ["plc.directory", PDS])
def test_who_has_no_turn_opens_no_socket(world: World, host: str) -> None:
    world.pace.used_up = {host}
    with pytest.raises(OutOfBudget) as caught:
        world.connect()
    assert caught.value.host == host
    assert all(asked.headers["host"] != host for asked in world.network.requests)


def test_an_account_with_too_many_logins_is_not_logged_in_to(world: World) -> None:
    world.pace.used_up = {DID}
    with pytest.raises(OutOfBudget):
        world.connect()
    assert world.calls(CREATE) == 0


def test_a_name_that_is_not_looked_up_for_want_of_budget_is_not_lost(world: World) -> None:
    world.resolver.records = {}
    world.pace.used_up = {HANDLE}
    with pytest.raises(OutOfBudget):
        world.connect(DID)


def test_a_look_is_taken_when_it_is_time(world: World) -> None:
    world.pace.looks = {PDS}
    world.reply(f"GET {PDS}/xrpc/{LOOK}", answer(200, {}))
    world.connect()
    assert world.calls(LOOK) == 1
    assert world.pace.requests[-2:] == [(PDS, "GET", False), (PDS, "POST", False)]


def test_no_look_no_harm(world: World) -> None:
    world.pace.looks = {PDS}
    world.reply(f"GET {PDS}/xrpc/{LOOK}", b"")
    assert world.connect().external_id == DID


def test_what_tidies_up_after_a_login_goes_ahead_of_batches(world: World) -> None:
    world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(accessJwt=token("com.atproto.access"))))
    with bulk(), pytest.raises(MainPasswordRejected):
        world.connect()
    assert world.calls(DELETE) == 1
    turns = [turn for turn in world.pace.requests if turn[0] == PDS]
    assert turns == [(PDS, "POST", True), (PDS, "POST", False)]


def test_a_second_look_at_a_refusal_goes_ahead_of_batches(world: World) -> None:
    world.reply(f"POST {PDS}/xrpc/{CREATE}", refusal(401, "AuthenticationRequired"))
    with bulk():
        for _ in range(2):
            with pytest.raises(CredentialsRejected):
                world.connect()
    assert world.calls(STATUS) == 2
    assert [(host, is_bulk) for host, _, is_bulk in world.pace.requests if host == "plc.directory"] == [
        ("plc.directory", True),
        ("plc.directory", False),
    ]
