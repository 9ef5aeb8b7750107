"""The API over a real database, with doubles for Redis and the workers. No socket is opened."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from connections.db import Database
from connections.settings import Settings
from tests.doubles import FakeBroker, FakeQueue, StubWorker
from tests.factories import Tenant, make_tenant

BODY: dict[str, Any] = {
    "platform": "bluesky",
    "credentials": {"handle": "alice.test", "app_password": "canary-password"},
}


@dataclass
class Api:
    """One running API process and one of its callers."""

    app: FastAPI
    client: httpx.AsyncClient
    queue: FakeQueue
    broker: FakeBroker
    worker: StubWorker
    tenant: Tenant
    database: Database

    @property
    def shim(self) -> Shim:
        shim: Shim = self.app.state.shim
        return shim

    @property
    def key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tenant.key}"}

    def waiting_for(self, task_id: str) -> int:
        return len(self.shim.waiting._waiters.get(task_id, ()))

    async def connect(self, prefer: str | None = None, **changes: Any) -> httpx.Response:
        headers = self.key if prefer is None else self.key | {"Prefer": prefer}
        return await self.client.post("/v1/accounts/connect", json=BODY | changes, headers=headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=self.key | headers)


@pytest.fixture
def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    return Settings(
        var_dir=tmp_path / "var", database_url=sqlite_url, redis_url="redis://127.0.0.1:1/0", sync_wait_seconds=10
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    queue, broker = FakeQueue(), FakeBroker()
    app = create_app(settings, queue=queue, broker=broker)
    database = app.state.shim.database
    worker = StubWorker(settings, database, broker.publish)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield Api(app, client, queue, broker, worker, make_tenant(database), database)
