"""What is traced of looking an account up and logging in to it: every call, below one attempt, and nobody's name."""

from collections.abc import Iterator

import pytest

from connections import tracing
from tests.spans import InMemory, recorded
from tests.unit.worker.platforms.bluesky.conftest import (
    APP_PASSWORD,
    CREATE,
    DID,
    HANDLE,
    PDS,
    World,
    document,
    session,
)
from tests.unit.worker.platforms.fakes import PUBLIC, answer

HOSTED = "alice.bsky.social"
WEB_HOST = "alice.example.org"


@pytest.fixture
def memory() -> Iterator[InMemory]:
    with recorded() as memory:
        yield memory


def calls(world: World, memory: InMemory, identifier: str) -> list[str]:
    with tracing.span("connect attempt"):
        world.connect(identifier)
    attempt = memory.spans.only("connect attempt")
    below = memory.spans.below(attempt)
    assert len(below) == len(memory.spans) - 1
    told = str([*memory.spans, *(span.to_json() for span in memory.exporter.get_finished_spans())])
    assert [name for name in (HANDLE, HOSTED, WEB_HOST, DID, APP_PASSWORD, "refresh-token") if name in told] == []
    return below.names


def test_a_handle_with_a_record(world: World, memory: InMemory) -> None:
    assert calls(world, memory, HANDLE) == ["DNS TXT", "GET /{did}", f"POST /xrpc/{CREATE}"]

    login = memory.spans.only(f"POST /xrpc/{CREATE}")
    assert login.attributes["server.address"] == PDS


def test_a_handle_with_a_site(world: World, memory: InMemory) -> None:
    world.resolver.records = {}
    world.reply(f"GET {HANDLE}/.well-known/atproto-did", answer(200, content=DID.encode()))

    asked = ["DNS TXT", "GET {handle}/.well-known/atproto-did"]
    assert sorted(calls(world, memory, HANDLE)[:2]) == asked


def test_an_identity_at_a_host_of_its_own(world: World, memory: InMemory) -> None:
    did = f"did:web:{WEB_HOST}"
    world.resolver.hosts[WEB_HOST] = [PUBLIC]
    world.resolver.records = {f"_atproto.{HANDLE}": [f"did={did}".encode()]}
    world.reply(WEB_HOST, answer(200, document(did)))
    world.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session(did=did)))

    assert calls(world, memory, did)[0] == "GET {did}/.well-known/did.json"


def test_an_account_of_the_hosted_service(world: World, memory: InMemory) -> None:
    world.reply("plc.directory", answer(200, document(claims=(f"at://{HOSTED}",))))
    world.reply(f"POST bsky.social/xrpc/{CREATE}", answer(200, session(handle=HOSTED)))

    assert f"POST /xrpc/{CREATE}" in calls(world, memory, HOSTED)
