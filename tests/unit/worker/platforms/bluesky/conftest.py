"""The adapter on an internet in memory."""

import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from json import dumps
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from connections.errors import AlreadyConnected
from connections.settings import Settings
from connections.verified import Credentials, VerifiedAccount
from tests.unit.worker.platforms.fakes import PUBLIC, FakeNetwork, FakePace, FakeResolver, answer
from worker.egress import Egress
from worker.platforms.bluesky.adapter import Bluesky

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
OTHER_DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
HANDLE = "alice.example.com"
PDS = "pds.example.com"
TLS = ssl.create_default_context()
APP_PASSWORD = "abcd-efgh-2345-wxyz"

# The same examples on every machine, however slow it is.
deterministic = hypothesis_settings(derandomize=True, deadline=None, max_examples=200)

CREATE = "com.atproto.server.createSession"
DELETE = "com.atproto.server.deleteSession"
STATUS = "com.atproto.sync.getRepoStatus"
DESCRIBE = "com.atproto.repo.describeRepo"
RESOLVE = "com.atproto.identity.resolveHandle"


def token(scope: str | None = "com.atproto.appPass") -> str:
    claims = urlsafe_b64encode(dumps({"scope": scope} if scope else {}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


def document(
    did: str = DID, *, claims: tuple[str, ...] = (f"at://{HANDLE}",), endpoint: object = f"https://{PDS}"
) -> dict[str, Any]:
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": endpoint}
    return {"id": did, "alsoKnownAs": list(claims), "service": [service]}


def session(**changes: object) -> dict[str, Any]:
    return {
        "did": DID,
        "handle": HANDLE,
        "accessJwt": token(),
        "refreshJwt": "refresh-token",
        "active": True,
        **changes,
    }


@dataclass
class World:
    """Alice lives at a PDS of her own, on a handle of her own, known to the DNS; the hosted service knows nobody."""

    settings: Settings
    resolver: FakeResolver = field(default_factory=FakeResolver)
    network: FakeNetwork = field(default_factory=FakeNetwork)
    pace: FakePace = field(default_factory=FakePace)

    def __post_init__(self) -> None:
        self.resolver.hosts = dict.fromkeys((HANDLE, PDS, "plc.directory", "bsky.social"), (PUBLIC,))
        self.resolver.records = {f"_atproto.{HANDLE}": [f"did={DID}".encode()]}
        self.reply("plc.directory", answer(200, document()))
        self.reply(f"POST {PDS}/xrpc/{CREATE}", answer(200, session()))
        self.reply(f"POST {PDS}/xrpc/{DELETE}", answer(200, {}))
        self.egress = Egress(
            self.settings, resolver=self.resolver, connector=self.network, ssl_context=TLS, pace=self.pace
        )
        self.bluesky = Bluesky(self.settings, self.pace, self.egress)

    def reply(self, where: str, *replies: bytes) -> None:
        """Answers in turn, the last one for ever. `where` is a host, or a method, host and path."""
        left = list(replies)
        self.network.handlers[where] = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def connect(
        self,
        identifier: str = HANDLE,
        password: str = APP_PASSWORD,
        *,
        connected: Container[str] = (),
        looks_first: bool = False,
    ) -> VerifiedAccount:
        def refuse(external_id: str | None, name: str | None) -> None:
            if external_id in connected:
                raise AlreadyConnected

        return self.bluesky.connect(
            Credentials(identifier, password), deadline=self.deadline(), before_login=refuse, looks_first=looks_first
        )

    @staticmethod
    def deadline() -> float:
        return time.monotonic() + 5

    def calls(self, method: str) -> int:
        return len(self.network.calls(method))


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    world = World(settings)
    yield world
    world.bluesky.close()
