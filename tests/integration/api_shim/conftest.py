"""The API in this process, over a real Valkey and a real SQLite, with a worker that only settles."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from connections.settings import Settings
from tests.doubles import StubWorker
from tests.factories import Tenant, make_tenant
from tests.rabbit import Rabbit
from tests.servers import Valkey, running_valkey


class Api:
    """One running API process and one of its callers."""

    def __init__(
        self, shim: Shim, client: httpx.AsyncClient, valkey: Valkey, broker: Valkey | Rabbit | None = None
    ) -> None:
        """The messages go to Valkey, or to another `broker`."""
        self.shim = shim
        self.client = client
        self.valkey = valkey
        self.broker = broker or valkey
        self.tenant: Tenant = make_tenant(shim.database)
        self.worker = StubWorker(shim.settings, shim.database, self.publish)

    def publish(self, channel: str, text: str) -> None:
        with self.valkey.client() as redis:
            redis.publish(channel, text)

    def subscribers(self) -> int:
        with self.valkey.client() as redis:
            return sum(count for _channel, count in redis.pubsub_numsub(f"connector:settled:{self.shim.id}"))

    def messages(self) -> list[bytes]:
        with self.valkey.client() as redis:
            return list(redis.lrange("connect", 0, -1))

    async def connect(self, handle: str = "alice.test", **headers: str) -> httpx.Response:
        body: dict[str, Any] = {
            "platform": "bluesky",
            "credentials": {"handle": handle, "app_password": "canary-password"},
        }
        key = {"Authorization": f"Bearer {self.tenant.key}"}
        return await self.client.post("/v1/accounts/connect", json=body, headers=key | headers)


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """For tests that stop it."""
    with running_valkey(tmp_path) as server:
        yield server


@pytest.fixture
async def api(
    request: pytest.FixtureRequest, own_valkey: Valkey, tmp_path: Path, sqlite_url: str
) -> AsyncIterator[Api]:
    """With Valkey for a broker, or RabbitMQ if the test names it."""
    rabbit: Rabbit | None = request.getfixturevalue("rabbit") if getattr(request, "param", "") == "rabbitmq" else None
    settings = Settings(
        var_dir=tmp_path / "var",
        database_url=sqlite_url,
        redis_url=own_valkey.url,
        broker_url=rabbit.url if rabbit else "",
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", timeout=60) as client,
    ):
        yield Api(app.state.shim, client, own_valkey, rabbit)
