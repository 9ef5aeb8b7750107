"""The stream of a batch: what is told when, what is asked of the table, and when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from api_shim.batch_events import BatchEvents, Watch, events_after
from connections.contract import Batch, BatchStatus, RowStatus
from connections.errors import ServiceUnavailable
from connections.service import Caller
from tests.doubles import until

CALLER = Caller("ws_1", "key_1")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def batch(connected: int = 0, *, total: int = 10, rate: float | None = None, batch_id: str = "cb_1") -> Batch:
    is_over = connected == total
    return Batch(
        id=batch_id,
        status=BatchStatus.FINISHED if is_over else BatchStatus.RUNNING,
        platform="bluesky",
        total=total,
        counts=dict.fromkeys(RowStatus, 0) | {RowStatus.CONNECTED: connected, RowStatus.QUEUED: total - connected},
        causes={},
        rate=rate,
        eta=NOW if rate else None,
        waits_for=None,
        created_at=NOW,
        canceled_at=None,
        finished_at=NOW if is_over else None,
    )


class Table:
    """Counts the looks at batches, which stand as `connected` says."""

    def __init__(self) -> None:
        self.connected = 0
        self.looks: list[str] = []
        self.at_once = self.most_at_once = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.fault: Exception | None = None

    async def look(self, _caller: Caller, batch_id: str) -> Batch:
        self.looks.append(batch_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.is_open.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if self.fault is not None:
            raise self.fault
        return batch(self.connected, batch_id=batch_id)


class Listener:
    """Keeps what it was told."""

    def __init__(self, events: BatchEvents, watch: Watch, last_id: str | None) -> None:
        self.told: list[str] = []
        self.reading = asyncio.create_task(self._read(events, watch, last_id))

    async def _read(self, events: BatchEvents, watch: Watch, last_id: str | None) -> None:
        async for text in events.told(watch, last_id):
            self.told.append(text)

    @property
    def names(self) -> list[str]:
        return [text.split("\n")[1].removeprefix("event: ") for text in self.told if text.startswith("id: ")]


@asynccontextmanager
async def listening(events: BatchEvents, seen: Batch, last_id: str | None = None) -> AsyncIterator[Listener]:
    with events.listen(CALLER, seen) as watch:
        listener = Listener(events, watch, last_id)
        try:
            yield listener
        finally:
            listener.reading.cancel()
            await asyncio.wait([listener.reading])


@pytest.fixture(autouse=True)
def _fast_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_events.POLL_SECONDS", 0.01)


@pytest.fixture
def table() -> Table:
    return Table()


async def test_a_change_is_told_once_and_the_end_ends_the_stream(table: Table) -> None:
    async with listening(BatchEvents(table.look), batch()) as listener:
        await until(lambda: len(table.looks) > 3)
        assert listener.names == ["progress"]
        table.connected = 4
        await until(lambda: len(listener.names) == 2)
        table.connected = 10
        await asyncio.wait_for(listener.reading, 10)

    assert listener.told[0].startswith("retry: ")
    assert listener.names == ["progress", "progress", "progress", "end"]
    assert all(text.endswith("}\n\n") and text.count("\n") == 4 for text in listener.told[1:])


def test_the_rate_alone_is_no_news_but_its_end_is() -> None:
    (told,) = events_after(batch(4, rate=1.0), None)

    assert events_after(batch(4, rate=2.0), told.id) == []
    assert [event.name for event in events_after(batch(4, rate=None), told.id)] == ["progress"]


def test_a_listener_that_comes_again_is_told_what_it_missed() -> None:
    over = batch(10)
    progress, end = events_after(over, None)

    assert events_after(over, "of another state") == [progress, end]
    assert events_after(over, progress.id) == [end]
    assert events_after(over, end.id) == []


async def test_a_state_that_was_told_is_not_told_again(table: Table) -> None:
    (told,) = events_after(batch(), None)
    async with listening(BatchEvents(table.look), batch(), told.id) as listener:
        await until(lambda: len(table.looks) > 3)
        assert listener.names == []
        table.connected = 1
        await until(lambda: listener.names == ["progress"])


async def test_who_has_been_told_the_end_is_sent_away(table: Table) -> None:
    events = BatchEvents(table.look)
    *_, end = events_after(batch(10), None)

    assert events.answer(CALLER, batch(10), end.id).status_code == 204
    assert events.answer(CALLER, batch(10), None).status_code == 200
    assert events.answer(CALLER, batch(9), end.id).status_code == 200


async def test_however_many_listen_there_is_one_poll(table: Table) -> None:
    events = BatchEvents(table.look)
    table.is_open.clear()
    async with listening(events, batch()) as one, listening(events, batch()) as two, listening(events, batch()):
        await until(lambda: len(table.looks) == 1)
        await asyncio.sleep(0.05)  # five times as long as to the next poll
        assert len(table.looks) == 1
        table.connected = 5
        table.is_open.set()
        await until(lambda: len(one.names) == len(two.names) == 2)


async def test_nobody_is_woken_by_a_look_that_shows_nothing_new(table: Table) -> None:
    with BatchEvents(table.look).listen(CALLER, batch()) as watch:
        changed = watch.changed
        await until(lambda: len(table.looks) > 3)
        assert watch.changed is changed
        table.connected = 1
        await until(changed.done)


async def test_nobody_is_asked_when_nobody_listens(table: Table) -> None:
    events = BatchEvents(table.look)
    async with listening(events, batch()):
        await until(lambda: len(table.looks) > 1)
    looks = len(table.looks)

    await asyncio.sleep(0.05)

    assert (len(table.looks), len(events), events._watches) == (looks, 0, {})


async def test_many_batches_do_not_take_all_threads(table: Table) -> None:
    events = BatchEvents(table.look)
    table.is_open.clear()
    async with asyncio.TaskGroup() as group:
        held = [group.create_task(_held(events, f"cb_{n}", table.is_open)) for n in range(6)]
        await until(lambda: table.at_once == 2)
        await asyncio.sleep(0.05)
        assert table.most_at_once == 2
        table.is_open.set()
    assert all(task.done() for task in held)


async def _held(events: BatchEvents, batch_id: str, until_set: asyncio.Event) -> None:
    async with listening(events, batch(batch_id=batch_id)):
        await until_set.wait()


async def test_there_is_room_for_so_many(table: Table) -> None:
    events = BatchEvents(table.look, capacity=2)
    async with listening(events, batch()), listening(events, batch(batch_id="cb_2")):
        with pytest.raises(ServiceUnavailable), events.listen(CALLER, batch()):
            pass
    async with listening(events, batch()):
        pass


async def test_a_quiet_stream_shows_that_it_lives(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_events.HEARTBEAT_SECONDS", 0.02)
    async with listening(BatchEvents(table.look), batch()) as listener:
        await until(lambda: sum(text.startswith(": ") for text in listener.told) >= 2)

    assert listener.names == ["progress"]


async def test_a_listener_has_to_come_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.batch_events.HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr("api_shim.batch_events.STREAM_SECONDS", 0.05)
    async with listening(BatchEvents(table.look), batch()) as listener:
        await asyncio.wait_for(listener.reading, 10)

    assert listener.names == ["progress"]


async def test_a_database_that_is_away_costs_time_and_not_the_stream(table: Table) -> None:
    table.fault = ServiceUnavailable()
    async with listening(BatchEvents(table.look), batch()) as listener:
        await until(lambda: len(table.looks) > 2)
        table.fault = None
        table.connected = 10
        await asyncio.wait_for(listener.reading, 10)

    assert listener.names[-1] == "end"


async def test_a_bug_ends_the_streams_it_concerns(table: Table) -> None:
    table.fault = ZeroDivisionError()
    async with listening(BatchEvents(table.look), batch()) as listener:
        await asyncio.wait([listener.reading], timeout=10)

        assert isinstance(listener.reading.exception(), ZeroDivisionError)


async def test_a_shutdown_ends_every_stream_without_the_end(table: Table) -> None:
    events = BatchEvents(table.look)
    async with listening(events, batch()) as one, listening(events, batch(batch_id="cb_2")) as two:
        await until(lambda: one.names == two.names == ["progress"])
        events.release()
        await asyncio.wait_for(asyncio.gather(one.reading, two.reading), 10)
    async with listening(events, batch()) as late:
        await asyncio.wait_for(late.reading, 10)

    assert one.names == two.names == ["progress"]
    assert late.names == []


async def test_a_slow_listener_is_told_the_newest_state_and_none_in_between(table: Table) -> None:
    events = BatchEvents(table.look)
    with events.listen(CALLER, batch()) as watch:
        told: Any = events.told(watch, None)
        assert (await anext(told)).startswith("retry: ")
        assert '"connected":0' in await anext(told)
        for connected in (3, 6, 9):
            table.connected = connected
            await until(lambda: watch.batch.counts[RowStatus.CONNECTED] == table.connected)
        assert '"connected":9' in await anext(told)
        await told.aclose()
