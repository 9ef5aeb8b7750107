"""The one place where callers wait: what it asks of the table, when, and what it makes of the answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
import structlog

from api_shim.hanging_up import HungUp
from api_shim.waiting import Waiting
from connections.contract import TaskStatus
from connections.errors import ServiceUnavailable
from connections.repository.tasks import TaskRow
from tests.doubles import until

NEVER = 3600.0


def row(task_id: str) -> TaskRow:
    now = datetime.now(UTC)
    return TaskRow(task_id, "ws_1", "pr_1", "bluesky", TaskStatus.SUCCEEDED, 1, 5, now, now, now, None, None)


class Table:
    """Counts the queries. `is_open` holds them back, `fault` fails them."""

    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.queries: list[list[str]] = []
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.fault: Exception | None = None

    async def finished(self, task_ids: list[str]) -> list[TaskRow]:
        self.queries.append(sorted(task_ids))
        await self.is_open.wait()
        if self.fault is not None:
            raise self.fault
        return [row(task_id) for task_id in task_ids if task_id in self.ended]


@asynccontextmanager
async def running(waiting: Waiting[TaskRow]) -> AsyncIterator[None]:
    loop = asyncio.create_task(waiting.run())
    try:
        yield
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", NEVER)


@pytest.fixture
def fast_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 0.02)


def connected() -> "asyncio.Future[None]":
    """Of a caller who does not hang up."""
    return asyncio.get_running_loop().create_future()


async def wait_for(waiting: Waiting[TaskRow], task_id: str, seconds: float = 10) -> TaskRow | None:
    with waiting.register(task_id) as waiter:
        return await waiter.wait(seconds, connected())


@pytest.mark.usefixtures("no_poll")
async def test_an_announcement_before_the_wait_is_not_missed(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.add("ct_1")
    async with running(waiting):
        with waiting.register("ct_1") as waiter:
            waiting.hint(["ct_1"])
            await until(lambda: bool(table.queries))
            assert await waiter.wait(10, connected()) is not None


@pytest.mark.usefixtures("no_poll")
async def test_announcements_during_a_query_share_the_next_one(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.update(f"ct_{n}" for n in range(50))
    async with running(waiting):
        callers = [asyncio.create_task(wait_for(waiting, task_id)) for task_id in table.ended]
        await until(lambda: len(waiting) == 50)
        table.is_open.clear()
        waiting.hint(["ct_0"])
        await until(lambda: len(table.queries) == 1)
        waiting.hint(table.ended)
        table.is_open.set()

        assert None not in await asyncio.gather(*callers)
    assert len(table.queries) == 2


@pytest.mark.usefixtures("no_poll")
async def test_all_callers_of_one_task_are_answered(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.add("ct_1")
    async with running(waiting):
        callers = [asyncio.create_task(wait_for(waiting, "ct_1")) for _ in range(5)]
        await until(lambda: len(waiting) == 5)
        waiting.hint(["ct_1"])

        assert None not in await asyncio.gather(*callers)
    assert len(waiting) == 0


@pytest.mark.usefixtures("no_poll")
async def test_a_forged_announcement_is_only_a_look(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    async with running(waiting):
        caller = asyncio.create_task(wait_for(waiting, "ct_1", seconds=0.2))
        await until(lambda: len(waiting) == 1)
        waiting.hint(["ct_1", "ct_of_nobody", "'; DROP TABLE"])

        assert await caller is None
    assert table.queries == [["ct_1"]]


@pytest.mark.usefixtures("no_poll")
async def test_after_a_gap_everything_is_looked_at(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.update({"ct_1", "ct_2"})
    async with running(waiting):
        callers = [asyncio.create_task(wait_for(waiting, task_id)) for task_id in sorted(table.ended)]
        await until(lambda: len(waiting) == 2)
        waiting.hint_all()

        assert None not in await asyncio.gather(*callers)


@pytest.mark.usefixtures("fast_poll")
async def test_the_poll_finds_what_was_never_announced(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.add("ct_1")
    async with running(waiting):
        assert await wait_for(waiting, "ct_1") is not None


@pytest.mark.usefixtures("fast_poll")
async def test_a_database_that_is_away_costs_time_and_not_the_answer(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.add("ct_1")
    table.fault = ServiceUnavailable()
    with structlog.testing.capture_logs():
        async with running(waiting):
            caller = asyncio.create_task(wait_for(waiting, "ct_1"))
            await until(lambda: len(table.queries) >= 3)
            table.fault = None

            assert await caller is not None


@pytest.mark.usefixtures("no_poll")
async def test_a_bug_reaches_those_it_concerns_and_the_loop_goes_on(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.fault = RuntimeError("bug")
    async with running(waiting):
        caller = asyncio.create_task(wait_for(waiting, "ct_1"))
        await until(lambda: len(waiting) == 1)
        waiting.hint(["ct_1"])
        with pytest.raises(RuntimeError, match="bug"):
            await caller
        table.fault = None
        table.ended.add("ct_2")

        assert await waiting.follow("ct_2", 10, connected()) is not None


class CountedPolls(Waiting[TaskRow]):
    """Counts the polls. Each begins when the one before has ended, with its queries."""

    polls = 0

    def _waiting_since(self, moment: float) -> set[str]:
        self.polls += 1
        return super()._waiting_since(moment)

    async def polled(self, times: int) -> None:
        enough = self.polls + times
        await until(lambda: self.polls >= enough)


async def test_nobody_is_asked_when_nobody_waits(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 0.001)
    waiting = CountedPolls(table.finished, capacity=10_000)
    async with running(waiting):
        caller = asyncio.create_task(wait_for(waiting, "ct_1"))
        await until(lambda: len(table.queries) >= 1)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
        await waiting.polled(1)  # the last query may have been under way
        asked = len(table.queries)
        await waiting.polled(10)

    assert len(table.queries) == asked


async def test_who_gave_up_is_forgotten(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    async with running(waiting):
        caller = asyncio.create_task(wait_for(waiting, "ct_1"))
        await until(lambda: len(waiting) == 1)
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
        assert await wait_for(waiting, "ct_2", seconds=0) is None

    assert len(waiting) == 0
    assert waiting._waiters == {}


async def test_there_is_room_for_so_many(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=1)
    full = pytest.raises(ServiceUnavailable, match="Nothing was stored")
    with waiting.register("ct_1"), full, waiting.register("ct_2"):
        pass
    with waiting.register("ct_2"):
        pass


@pytest.mark.usefixtures("no_poll")
async def test_a_shutdown_sends_everybody_home(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    async with running(waiting):
        callers = [asyncio.create_task(wait_for(waiting, "ct_1", NEVER)) for _ in range(3)]
        await until(lambda: len(waiting) == 3)
        waiting.release_after(0.01)

        assert await asyncio.gather(*callers) == [None, None, None]
        assert await wait_for(waiting, "ct_2", NEVER) is None  # who comes now does not wait at all


BATCHES: dict[int, Callable[[list[list[str]]], bool]] = {
    500: lambda queries: len(queries) == 1,
    1200: lambda queries: [len(query) for query in queries] == [500, 500, 200],
}


@pytest.mark.usefixtures("no_poll")
@pytest.mark.parametrize("callers", BATCHES)
async def test_a_query_never_asks_for_too_many(table: Table, callers: int) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    table.ended.update(f"ct_{n}" for n in range(callers))
    async with running(waiting):
        tasks = [asyncio.create_task(wait_for(waiting, task_id)) for task_id in table.ended]
        await until(lambda: len(waiting) == callers)
        waiting.hint_all()
        await asyncio.gather(*tasks)

    assert BATCHES[callers](table.queries)


async def test_a_caller_who_hangs_up_waits_no_longer(table: Table) -> None:
    waiting = Waiting(table.finished, capacity=10_000)
    hung_up = connected()
    async with running(waiting):
        caller = asyncio.create_task(waiting.follow("ct_1", 60, hung_up))
        await until(lambda: len(waiting) == 1)
        hung_up.set_result(None)
        with pytest.raises(HungUp):
            await caller
        assert len(waiting) == 0


@pytest.mark.usefixtures("no_poll")
async def test_a_query_is_nobodys_own() -> None:
    """It would be logged and traced as part of one caller's request, though others share it."""
    seen: list[dict[str, object]] = []

    async def finished(task_ids: list[str]) -> list[TaskRow]:
        seen.append(structlog.contextvars.get_contextvars())
        return [row(task_id) for task_id in task_ids]

    waiting = Waiting(finished, capacity=10_000)
    async with running(waiting):
        with structlog.contextvars.bound_contextvars(request_id="req_1"):
            assert await waiting.follow("ct_1", 10, connected()) is not None

    assert seen == [{}]
