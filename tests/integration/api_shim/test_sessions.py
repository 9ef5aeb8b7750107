"""Live sessions through two API processes on one database and a real Valkey, with a worker that has some to give."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, update

from api_shim.app import create_app
from api_shim.bootstrap import Shim
from connections.db import Database
from connections.messages import OPEN_SESSION, Queue
from connections.models import session_requests
from connections.session_answers import SessionAnswers
from connections.settings import Settings
from connections.sqltime import from_now
from tests.account_rows import insert_account
from tests.canary.evidence import keys_of, monitored
from tests.doubles import until
from tests.factories import Tenant, make_tenant
from tests.servers import Valkey, running_valkey
from tests.sessions import TOKEN, FakeSessions, audited
from worker.announce import Announcer
from worker.open_session import SessionOpener
from worker.redis_client import redis_client


class Process:
    """One API process."""

    def __init__(self, shim: Shim, client: httpx.AsyncClient) -> None:
        self.shim = shim
        self.client = client


class Service:
    """Two API processes, a workspace and a worker that looks when it is told to."""

    def __init__(self, database: Database, valkey: Valkey, processes: list[Process]) -> None:
        self.database = database
        self.valkey = valkey
        self.processes = processes
        self.tenant: Tenant = make_tenant(database, scopes="sessions")
        self.account_id = insert_account(database, self.tenant)
        self.sessions = FakeSessions()
        self._redis = redis_client(valkey.url)
        self.answers = SessionAnswers(database, lease_seconds=60.0)
        self.worker = SessionOpener(self.answers, self.sessions, Announcer(self._redis))

    def ask(self, process: int = 0) -> "asyncio.Task[httpx.Response]":
        path = f"/internal/accounts/{self.account_id}/session"
        key = {"Authorization": f"Bearer {self.tenant.key}"}
        return asyncio.create_task(self.processes[process].client.post(path, headers=key))

    def messages(self) -> list[bytes]:
        with self.valkey.client() as redis:
            return list(redis.lrange(Queue.UPKEEP, 0, -1))

    async def sent(self, count: int) -> list[str]:
        """The ids of the requests whose messages lie in the queue, once there are so many."""
        await until(lambda: len(self.messages()) == count)
        headers = [json.loads(message)["headers"] for message in self.messages()]
        assert {one["task"] for one in headers} == {OPEN_SESSION}
        return [one["argsrepr"].strip("[]'") for one in headers]

    async def subscribed(self) -> None:
        channels = [f"connector:settled:{process.shim.id}" for process in self.processes]
        await until(lambda: all(count == 1 for _, count in self._redis.pubsub_numsub(*channels)))

    def left(self) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(session_requests)).scalar_one()

    def make_overdue(self) -> None:
        with self.database.write() as connection:
            connection.execute(update(session_requests).values(available_at=from_now(-2)))

    def close(self) -> None:
        self._redis.close()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """With a password, as whoever listens to all of it wants one."""
    with running_valkey(tmp_path, "secret") as server:
        yield server


@pytest.fixture
async def service(own_valkey: Valkey, tmp_path: Path, database_url: str) -> AsyncIterator[Service]:
    settings = Settings(var_dir=tmp_path / "var", database_url=database_url, redis_url=own_valkey.url)
    async with AsyncExitStack() as stack:
        processes = []
        for _ in range(2):
            app = create_app(settings)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test", timeout=60)
            processes.append(Process(app.state.shim, await stack.enter_async_context(client)))
        service = Service(processes[0].shim.database, own_valkey, processes)
        stack.callback(service.close)
        yield service


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves announcements as the only way to an answer."""
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 3600.0)


def token_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["data"]["access_token"]
    return token


@pytest.mark.usefixtures("no_poll")
async def test_each_process_hears_of_its_own_callers_answer(service: Service) -> None:
    await service.subscribed()
    callers = [service.ask(0), service.ask(1)]
    for request_id in await service.sent(2):
        await asyncio.to_thread(service.worker.open, request_id)

    answers = await asyncio.wait_for(asyncio.gather(*callers), 20)

    assert [token_of(answer) for answer in answers] == [TOKEN, TOKEN]
    assert service.left() == 0
    assert [entry.outcome for entry in audited(service.database)] == ["succeeded", "succeeded"]


async def test_redis_carries_ids_and_no_session(service: Service) -> None:
    await service.subscribed()
    with monitored(service.valkey) as heard:
        caller = service.ask()
        (request_id,) = await service.sent(1)
        kept = b"".join([*keys_of(service.valkey), *service.messages()])
        await asyncio.to_thread(service.worker.open, request_id)
        assert token_of(await caller) == TOKEN
        await until(lambda: b"connector:settled:" in heard)

    assert request_id.encode() in kept
    for place in (kept, bytes(heard)):
        assert TOKEN.encode() not in place
        assert service.account_id.encode() not in place


async def test_a_lost_message_costs_time_and_not_the_answer(service: Service) -> None:
    caller = service.ask()
    await service.sent(1)
    with service.valkey.client() as redis:
        redis.flushall()
    assert service.answers.claim_overdue() is None  # not yet
    service.make_overdue()

    await asyncio.to_thread(service.worker.open_overdue)

    assert token_of(await asyncio.wait_for(caller, 20)) == TOKEN


async def test_a_worker_that_dies_is_followed_by_another(service: Service) -> None:
    caller = service.ask()
    (request_id,) = await service.sent(1)
    assert service.answers.claim(request_id) is not None  # and is never heard of again
    await asyncio.to_thread(service.worker.open, request_id)  # its message once more
    assert service.sessions.asked == []
    service.make_overdue()

    await asyncio.to_thread(service.worker.open_overdue)

    assert token_of(await asyncio.wait_for(caller, 20)) == TOKEN
    assert [entry.outcome for entry in audited(service.database)] == ["succeeded"]


async def test_without_redis_the_poll_finds_the_answer(service: Service) -> None:
    caller = service.ask()
    (request_id,) = await service.sent(1)
    service.valkey.stop()
    await asyncio.to_thread(service.worker.open, request_id)

    assert token_of(await asyncio.wait_for(caller, 20)) == TOKEN


async def test_a_queue_that_is_away_is_a_503_that_leaves_nothing(service: Service) -> None:
    service.valkey.stop()

    answer = await asyncio.wait_for(service.ask(), 20)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "QUEUE_UNAVAILABLE")
    assert service.left() == 0


async def test_a_worker_that_answers_when_nobody_waits_any_more(service: Service) -> None:
    for process in service.processes:
        object.__setattr__(process.shim.settings, "sync_wait_seconds", 0.2)
    answer = await asyncio.wait_for(service.ask(), 20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "SESSION_TIMEOUT")

    await asyncio.to_thread(service.worker.open, (await service.sent(1))[0])

    assert service.sessions.asked == []
    assert [(entry.outcome, entry.cause) for entry in audited(service.database)] == [("failed", "unanswered")]
