"""What is traced of requests on the way out: no path, no name of an account, nothing that the other side said."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.spans import InMemory, recorded
from tests.unit.worker.platforms.fakes import PUBLIC, FakeNetwork, FakeResolver, answer
from worker.egress import Egress, EgressError, Policy


@pytest.fixture
def memory() -> Iterator[InMemory]:
    with recorded() as memory:
        yield memory


@pytest.fixture
def egress(egress: Egress, resolver: FakeResolver, memory: InMemory) -> Egress:
    resolver.hosts = {"host.example": [PUBLIC], "alice.example": [PUBLIC]}
    return egress


TOLD: dict[str, tuple[str, str | None, str, dict[str, Any]]] = {
    "a path": (
        "https://host.example/xrpc/com.atproto.server.createSession",
        "/xrpc/com.atproto.server.createSession",
        "POST /xrpc/com.atproto.server.createSession",
        {"url.template": "/xrpc/com.atproto.server.createSession", "server.address": "host.example"},
    ),
    "an account's own host": (
        "https://host.example/.well-known/atproto-did",
        "{handle}/.well-known/atproto-did",
        "POST {handle}/.well-known/atproto-did",
        {"url.template": "{handle}/.well-known/atproto-did"},
    ),
    "nothing": ("https://host.example/did:plc:alice", None, "POST", {}),
}


@pytest.mark.parametrize(("url", "template", "name", "attributes"), TOLD.values(), ids=TOLD)
def test_a_request_is_told_by_its_template(
    egress: Egress, memory: InMemory, url: str, template: str | None, name: str, attributes: dict[str, Any]
) -> None:
    egress.request(
        "POST", url, json={"password": "canary"}, deadline=time.monotonic() + 5, policy=Policy(), template=template
    )

    (call,) = memory.spans
    assert (call.name, call.kind, call.has_failed) == (name, "CLIENT", False)
    assert call.attributes == {
        "http.request.method": "POST",
        "url.scheme": "https",
        "http.response.status_code": 200,
        **attributes,
    }


def test_every_hop_is_a_request_and_where_it_led_is_not_told(
    egress: Egress, network: FakeNetwork, memory: InMemory
) -> None:
    network.handlers["alice.example"] = lambda _: answer(302, headers={"location": "https://host.example/alice"})
    template = "{handle}/.well-known/atproto-did"
    policy = Policy(redirects=1)
    egress.request("GET", "https://alice.example/", deadline=time.monotonic() + 5, policy=policy, template=template)

    assert [call.attributes["http.response.status_code"] for call in memory.spans] == [302, 200]
    assert "example" not in str(memory.spans)


def test_a_request_that_gets_no_answer_says_why(egress: Egress, network: FakeNetwork, memory: InMemory) -> None:
    network.unreachable = {PUBLIC}
    with pytest.raises(EgressError):
        egress.request("GET", "https://host.example/", deadline=time.monotonic() + 5, template="/")

    (call,) = memory.spans
    assert (call.has_failed, call.attributes["error.type"], call.events) == (True, "ConnectFailed", 0)


def test_a_question_to_nameservers_has_no_name(egress: Egress, memory: InMemory) -> None:
    egress.texts("_atproto.alice.example", deadline=time.monotonic() + 5)

    (question,) = memory.spans
    assert (question.name, question.kind, question.attributes) == ("DNS TXT", "CLIENT", {"dns.question.type": "TXT"})
