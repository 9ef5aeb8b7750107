"""What the tests of egress share: the guard over an internet in memory."""

import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from connections.settings import Settings
from tests.unit.worker.platforms.fakes import FakeNetwork, FakeResolver, answer
from worker.egress import Egress, Policy, Response

TLS = ssl.create_default_context()


@pytest.fixture
def resolver() -> FakeResolver:
    return FakeResolver()


@pytest.fixture
def network() -> FakeNetwork:
    network = FakeNetwork()
    network.handlers = {"host.example": lambda _: answer(200, {"ok": True})}
    return network


Make = Callable[[Settings], Egress]


@pytest.fixture
def make(resolver: FakeResolver, network: FakeNetwork) -> Iterator[Make]:
    made: list[Egress] = []

    def build(settings: Settings) -> Egress:
        made.append(Egress(settings, resolver=resolver, connector=network, ssl_context=TLS))
        return made[-1]

    yield build
    for egress in made:
        egress.close()


@pytest.fixture
def egress(make: Make, settings: Settings) -> Egress:
    return make(settings)


def get(egress: Egress, url: str = "https://host.example/", policy: Policy | None = None) -> Response:
    return egress.request("GET", url, deadline=time.monotonic() + 5, policy=policy or Policy())
