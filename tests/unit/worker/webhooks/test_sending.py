"""One attempt over an internet in memory: what is sent, where to, and what its end means."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unipost.webhook import verify_webhook_signature

from connections.repository.deliveries import ClaimedDelivery
from connections.settings import Environment, Settings
from connections.webhooks.delivering import Claim, Failure
from tests.unit.worker.platforms.fakes import PUBLIC, FakeNetwork, FakeResolver, answer
from worker.egress import Egress, EgressError, Response
from worker.egress.errors import NotAllowed, Unreachable
from worker.webhooks import message
from worker.webhooks.sending import WORDS, Sender, read

SECRET = "canary-0123456789"
DELIVERY = ClaimedDelivery(
    id="wd_1",
    webhook_id="wh_1",
    workspace_id="ws_1",
    event_id="evt_1",
    event="account.connected",
    subject="sa_1",
    data={"id": "sa_1", "account_name": "ünï.test", "display_name": None},
    created_at=datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC),
    attempts=0,
    fence=1,
)
TLS = ssl.create_default_context()


def claim(url: str = "https://hook.example:8443/in?x=1", secret: str | None = SECRET) -> Claim:
    return Claim("wh_1", url, secret, (DELIVERY,))


class World:
    def __init__(self) -> None:
        self.resolver, self.network = FakeResolver(), FakeNetwork()
        self.resolver.hosts["hook.example"] = [PUBLIC]
        self.made: list[Egress] = []

    def sender(self, settings: Settings) -> Sender:
        self.made.append(Egress(settings, resolver=self.resolver, connector=self.network, ssl_context=TLS))
        return Sender(self.made[-1])


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    for egress in world.made:
        egress.close()


def production() -> Settings:
    return Settings(
        env=Environment.PRODUCTION,
        database_url="postgresql://db/x",
        redis_url="redis://redis",
        keys_file=Path("keys.json"),
    )


DEVELOPMENT = Settings(dev_pds_url="http://127.0.0.1:2583")


def test_what_is_sent(world: World) -> None:
    world.network.handlers["hook.example:8443"] = lambda _: answer(200, content=b"thanks")

    assert world.sender(production()).send(claim(), DELIVERY) == 200
    (asked,) = world.network.requests
    assert (asked.method, asked.url) == ("POST", "/in?x=1")
    assert asked.body == (
        b'{"id":"evt_1","event":"account.connected","timestamp":"2026-11-23T10:00:00.123Z","workspace_id":"ws_1",'
        b'"data":{"id":"sa_1","account_name":"\xc3\xbcn\xc3\xaf.test","display_name":null}}'
    )
    assert asked.headers["content-length"] == str(len(asked.body))
    assert asked.headers["x-unipost-event"] == "account.connected"
    assert asked.headers["x-unipost-delivery"] == "wd_1"
    assert SECRET not in repr(asked)
    signature = asked.headers["x-unipost-signature"]
    assert verify_webhook_signature(payload=asked.body, signature=signature, secret=SECRET)
    assert not verify_webhook_signature(payload=asked.body + b" ", signature=signature, secret=SECRET)


@given(st.text(alphabet=[chr(code) for code in range(33, 127)], min_size=16, max_size=255))
def test_any_secret_signs(secret: str) -> None:
    content = message.body(DELIVERY)
    signature = message.headers(DELIVERY, content, secret)["x-unipost-signature"]

    assert signature.startswith("sha256=")
    assert verify_webhook_signature(payload=content, signature=signature, secret=secret)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["fd00::1"], [PUBLIC, "192.168.1.1"]]
)
@pytest.mark.parametrize("settings", [production(), DEVELOPMENT], ids=["production", "development"])
def test_an_address_that_is_not_public_is_refused_before_a_socket_opens(
    world: World, addresses: list[str], settings: Settings
) -> None:
    world.resolver.hosts["hook.example"] = addresses

    result = world.sender(settings).send(claim(), DELIVERY)

    assert result == Failure("host_not_allowed", is_of_receiver=True)
    assert world.network.dialled == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]:9000/"])
def test_this_machine_may_be_called_in_development_only(world: World, url: str) -> None:
    world.resolver.hosts |= {host: ["127.0.0.1"] for host in ("127.0.0.1", "localhost", "::1")}
    hosts = ("127.0.0.1:9000", "localhost:9000", "[::1]:9000")
    world.network.handlers = {host: lambda _: answer(200) for host in hosts}

    assert world.sender(DEVELOPMENT).send(claim(url), DELIVERY) == 200
    (dialled,) = world.network.dialled
    assert dialled[1] == 9000
    for settings in (production(), Settings()):
        assert world.sender(settings).send(claim(url), DELIVERY) == Failure("host_not_allowed", is_of_receiver=True)
    assert world.network.dialled == [dialled]


@pytest.mark.parametrize("url", ["http://hook.example/", "http://10.0.0.1/", "http://127.0.0.2/", "https://xn--a.com/"])
def test_nothing_else_is_called_by_http_not_even_in_development(world: World, url: str) -> None:
    assert world.sender(DEVELOPMENT).send(claim(url), DELIVERY) == Failure("host_not_allowed", is_of_receiver=True)
    assert (world.network.dialled, world.resolver.asked) == ([], [])


def test_redirects_are_not_followed(world: World) -> None:
    elsewhere = {"location": "https://hook.example:8443/elsewhere"}
    world.network.handlers["hook.example:8443"] = lambda _: answer(307, headers=elsewhere)

    assert world.sender(production()).send(claim(), DELIVERY) == Failure("redirected", 307)
    assert len(world.network.requests) == 1


def test_a_name_that_is_not_there_and_one_that_nobody_answers_for(world: World) -> None:
    sender = world.sender(production())
    assert sender.send(claim("https://nowhere.example/"), DELIVERY) == Failure("name_not_found", is_of_receiver=True)
    world.network.unreachable = {PUBLIC}
    assert sender.send(claim(), DELIVERY) == Failure("connection_failed", is_of_receiver=True)


def test_what_is_no_http_or_too_much(world: World) -> None:
    sender = world.sender(production())
    answers = iter([b"SSH-2.0-OpenSSH_9.9\r\n", answer(200, content=b"x" * 300_000)])
    world.network.handlers["hook.example:8443"] = lambda _: next(answers)

    assert sender.send(claim(), DELIVERY) == Failure("bad_answer", is_of_receiver=True)
    assert sender.send(claim(), DELIVERY) == Failure("answer_too_large", is_of_receiver=True)


def test_without_a_secret_nothing_is_sent(world: World) -> None:
    assert world.sender(production()).send(claim(secret=None), DELIVERY) == Failure(
        "secret_unavailable", is_of_receiver=True
    )
    assert world.network.dialled == []


def every_error(kind: type[EgressError] = EgressError) -> Iterator[type[EgressError]]:
    for child in kind.__subclasses__():
        yield child
        yield from every_error(child)


def test_every_error_has_a_word_and_the_nearest_one() -> None:
    order = list(WORDS)
    for kind in {*every_error()} - {NotAllowed, Unreachable}:
        assert kind in WORDS, kind
        above = [other for other in order if issubclass(kind, other) and other is not kind]
        assert all(order.index(kind) < order.index(other) for other in above), kind


@pytest.mark.parametrize(
    ("status", "headers", "meaning"),
    [
        (200, {}, 200),
        (201, {}, 201),
        (299, {}, 299),
        (301, {}, Failure("redirected", 301)),
        (304, {}, Failure("redirected", 304)),
        (400, {}, Failure("rejected", 400)),
        (404, {"retry-after": "60"}, Failure("rejected", 404)),
        (410, {}, Failure("gone", 410, is_final=True)),
        (429, {}, Failure("rate_limited", 429, is_of_receiver=True)),
        (429, {"retry-after": "60"}, Failure("rate_limited", 429, is_of_receiver=True, asked_to_wait=60)),
        (500, {"retry-after": "60"}, Failure("server_error", 500, is_of_receiver=True)),
        (503, {"retry-after": "60"}, Failure("server_error", 503, is_of_receiver=True, asked_to_wait=60)),
        (
            503,
            {"retry-after": "Thu, 01 Jan 1970 00:20:00 GMT"},
            Failure("server_error", 503, is_of_receiver=True, asked_to_wait=200),
        ),
        (503, {"retry-after": "soon"}, Failure("server_error", 503, is_of_receiver=True)),
        (101, {}, Failure("rejected", 101)),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], meaning: Failure | int) -> None:
    assert read(Response(status, headers, b""), now=1000.0) == meaning


def test_nothing_secret_is_printed() -> None:
    assert SECRET not in repr(claim())
    assert "ünï" not in repr(DELIVERY)
