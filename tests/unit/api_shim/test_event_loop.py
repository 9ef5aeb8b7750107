"""Nothing blocks the event loop, and no kind of blocking call holds up another."""

import asyncio
import threading
from typing import Any

import pytest
import structlog

from api_shim.threads import Threads
from connections.errors import ServiceUnavailable
from connections.repository.tasks import TaskRow
from connections.service import Accepted
from tests.doubles import until
from tests.unit.api_shim.conftest import Api


async def test_slow_accepts_run_side_by_side_while_the_loop_answers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, both_are_in, go_on = api.shim.service.accept, threading.Barrier(3, timeout=10), threading.Event()

    def slow(*args: Any, **kwargs: Any) -> Accepted:
        both_are_in.wait()
        assert go_on.wait(10)
        return accept(*args, **kwargs)

    monkeypatch.setattr(api.shim.service, "accept", slow)
    callers = [asyncio.create_task(api.connect(prefer="respond-async")) for _ in range(2)]
    await asyncio.to_thread(both_are_in.wait)  # passes only when two threads are in `accept` at once

    assert (await api.client.get("/healthz")).status_code == 200
    assert (await api.get("/v1/connect/tasks/ct_nowhere")).status_code == 404
    go_on.set()
    assert {answer.status_code for answer in await asyncio.gather(*callers)} == {202}


async def test_reading_goes_on_while_every_accepting_thread_hangs(api: Api) -> None:
    go_on = threading.Event()
    api.queue.on_send = lambda task_id: go_on.wait(10)
    callers = [
        asyncio.create_task(api.connect(prefer="respond-async", credentials={"handle": f"h{n}.test", "password": "x"}))
        for n in range(20)
    ]
    await until(lambda: len(api.queue.sent) == 16)

    assert (await api.get(f"/v1/connect/tasks/{api.queue.sent[0]}")).status_code == 200
    assert (await api.client.get("/readyz")).status_code == 200
    go_on.set()
    assert {answer.status_code for answer in await asyncio.gather(*callers)} == {202}


async def test_more_calls_than_can_wait_are_refused_at_once() -> None:
    threads, go_on = Threads("test", size=1, backlog=1), threading.Event()
    calls = [threads.run(go_on.wait, 10) for _ in range(2)]

    with pytest.raises(ServiceUnavailable, match="overloaded"):
        await threads.run(go_on.wait, 10)
    go_on.set()
    assert await asyncio.gather(*calls) == [True, True]
    threads.close()


async def test_a_thread_logs_with_the_requests_bindings() -> None:
    threads = Threads("test", size=1)
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        bound = await threads.run(structlog.contextvars.get_contextvars)
    threads.close()

    assert bound == {"request_id": "req_1"}


async def test_a_call_raises_what_the_function_raises() -> None:
    def fail(_task_ids: list[str]) -> list[TaskRow]:
        raise ServiceUnavailable

    threads = Threads("test", size=1)
    with pytest.raises(ServiceUnavailable):
        await threads.run(fail, [])
    threads.close()
