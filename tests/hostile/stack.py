"""The whole service in one process: HTTP request, row, performer in a thread, answer. Only Redis is replaced."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from unittest.mock import patch

import httpx

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from connections.db import Database
from connections.messages import reply_channel
from connections.service import Patience
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Opener, TokenCipher, WorkerKeys, open_key_store
from tests.doubles import FakeBroker
from tests.factories import NoLoginLimits, Tenant, make_tenant
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

    def ask_for_dispatch(self) -> None:
        """There are no batches."""

    def ask_to_end_sessions(self) -> None:
        """Nobody is disconnected."""

    def unread(self) -> int:
        return 0

    def join(self) -> None:
        """Waits for what runs. Raises what a performer raised."""
        while self._performed:
            self._performed.pop().result()

    def close(self) -> None:
        self._threads.shutdown()
        self.join()


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

    client: httpx.AsyncClient
    queue: InlineQueue
    database: Database
    tenant: Tenant
    performer_on: Callable[[Platform, float], Performer]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tenant.key}"}

    def turn_to(self, platform: Platform, *, attempt_seconds: float) -> None:
        """From here on another platform, and a caller who has connected nothing yet."""
        self.queue.performer = self.performer_on(platform, attempt_seconds)
        self.tenant = make_tenant(self.database)

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
    settlement = Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=LEASE_SECONDS)

    def performer_on(platform: Platform, attempt_seconds: float) -> Performer:
        return Performer(
            settlement,
            {"bluesky": platform},
            InlineAnnouncer(broker),
            login_limits or NoLoginLimits(),
            attempt_seconds=attempt_seconds,
            is_stopping=lambda: False,
            uniform=lambda low, _high: low,
        )

    queue.performer = performer_on(platform, settings.attempt_seconds)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
    ):
        yield Stack(client, queue, database, make_tenant(database), performer_on)
