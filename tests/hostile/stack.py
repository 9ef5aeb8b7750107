"""The whole service in one process: HTTP request, row, performer in a thread, answer. Only Redis is replaced."""

from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import httpx
from fastapi import FastAPI

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from connections.db import Database
from connections.messages import reply_channel
from connections.service import Patience
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Opener, TokenCipher, WorkerKeys, open_key_store
from tests.factories import NoLoginLimits, Tenant, make_tenant
from tests.unit.api_shim.doubles import FakeBroker
from worker.announce import Announcer
from worker.login_limits import LoginLimits
from worker.perform import Performer
from worker.platforms.base import Platform

CONNECT = "/v1/accounts/connect"
LEASE_SECONDS = 60.0
ATTEMPTS = 2


class InlineQueue:
    """Performs each task in a thread of this process, as soon as it is sent."""

    def __init__(self) -> None:
        self.performer: Performer | None = None
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="worker")
        self._performed: list[Future[None]] = []

    def send(self, task_id: str) -> None:
        assert self.performer is not None
        self._performed.append(self._threads.submit(self.performer.perform, task_id))

    def close(self) -> None:
        """Waits for what runs. Raises what a performer raised."""
        self._threads.shutdown()
        for performed in self._performed:
            performed.result()


class InlineAnnouncer(Announcer):
    """Announces without Redis."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker

    def settled(self, task_id: str, reply_to: str | None) -> None:
        if reply_to is not None:
            self._broker.publish(reply_channel(reply_to), task_id)


@dataclass
class Stack:
    """The running service and one of its callers."""

    app: FastAPI
    client: httpx.AsyncClient
    queue: InlineQueue
    tenant: Tenant
    database: Database
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {"Authorization": f"Bearer {self.tenant.key}"}

    @property
    def shim(self) -> Shim:
        shim: Shim = self.app.state.shim
        return shim

    async def connect(self, handle: str, password: str, *, idempotency_key: str | None = None) -> httpx.Response:
        body = {"platform": "bluesky", "credentials": {"handle": handle, "app_password": password}}
        headers = self.headers if idempotency_key is None else self.headers | {"Idempotency-Key": idempotency_key}
        return await self.client.post(CONNECT, json=body, headers=headers)


@asynccontextmanager
async def running_stack(
    settings: Settings,
    platform: Platform,
    *,
    queue: InlineQueue | None = None,
    keys: WorkerKeys | None = None,
    login_limits: LoginLimits | None = None,
) -> AsyncIterator[Stack]:
    """`settings` name migrated SQLite and key files. Retries are few, and wait no longer than the platform asks for.

    The keyword arguments replace parts: the ring that the worker holds, and what usually counts nothing.
    """
    queue, broker = queue or InlineQueue(), FakeBroker()
    with patch("api_shim.app.add_docs"):  # half a second for pages that nobody asks for here
        app = create_app(settings, queue=queue, broker=broker)
    shim: Shim = app.state.shim
    shim.service._waited_for = Patience(ATTEMPTS, settings.interactive_task_seconds)
    database = shim.database
    keys = keys or open_key_store(settings).load_ring()
    queue.performer = Performer(
        Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=LEASE_SECONDS),
        {"bluesky": platform},
        InlineAnnouncer(broker),
        login_limits or NoLoginLimits(),
        attempt_seconds=settings.attempt_seconds,
        is_stopping=lambda: False,
        uniform=lambda low, _high: low,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield Stack(app, client, queue, make_tenant(database), database)
