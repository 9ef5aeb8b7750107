"""Callers wait on a real Valkey that announces, restarts, hangs or is not there."""

import asyncio
import itertools
import json
import time

import pytest

from tests.doubles import until
from tests.integration.api_shim.conftest import Api
from tests.processes import frozen


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves announcements as the only way to an answer."""
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 3600.0)


async def subscribed(api: Api) -> None:
    await until(lambda: api.subscribers() == 1)


async def waiting(api: Api, callers: int) -> None:
    await until(lambda: len(api.shim.waiting) == callers)
    await until(lambda: len(api.messages()) == callers)


def task_ids(api: Api) -> list[str]:
    return [json.loads(message)["headers"]["id"] for message in api.messages()]


@pytest.mark.usefixtures("no_poll")
async def test_an_announcement_wakes_the_caller(api: Api) -> None:
    await subscribed(api)
    caller = asyncio.create_task(api.connect())
    await waiting(api, 1)
    await asyncio.to_thread(api.worker.succeed, task_ids(api)[0])

    answer = await asyncio.wait_for(caller, 10)

    assert (answer.status_code, answer.json()["account_name"]) == (201, "alice.test")


async def test_a_message_carries_the_id_and_nothing_else(api: Api) -> None:
    await api.connect(Prefer="respond-async")

    (raw,) = api.messages()
    message = json.loads(raw)
    headers = message["headers"]
    assert (headers["task"], headers["argsrepr"]) == ("connector.connect_account", repr([headers["id"]]))
    assert message["content-type"] == "application/json"
    assert b"canary" not in raw
    assert b"alice" not in raw


async def test_the_age_of_the_oldest_message_is_known(api: Api) -> None:
    assert await api.shim.broker.oldest_message_age() == 0
    before = time.time()
    await api.connect(Prefer="respond-async")
    sent = time.time()
    await until(lambda: time.time() > sent + 0.05)
    await api.connect(Prefer="respond-async", handle="bob.test")

    assert 0.05 <= await api.shim.broker.oldest_message_age() <= time.time() - before


@pytest.mark.parametrize("message", [b"", b"{", b"[]", b"{}", b'{"headers": {"sent_at": "x"}}', b'{"headers": null}'])
async def test_a_message_that_does_not_say_when_it_was_sent_is_new(api: Api, message: bytes) -> None:
    """An older version's, or a stranger's."""
    await api.shim.broker._redis.lpush("connect", message)  # type: ignore[attr-defined]
    assert await api.shim.broker.oldest_message_age() < 1


@pytest.mark.usefixtures("no_poll")
async def test_two_hundred_callers_are_told_apart(api: Api) -> None:
    await subscribed(api)
    handles = [f"user{n}.test" for n in range(200)]
    callers = [asyncio.create_task(api.connect(handle)) for handle in handles]
    await waiting(api, 200)

    def settle() -> None:
        for task_id in reversed(task_ids(api)):
            api.worker.succeed(task_id)

    await asyncio.to_thread(settle)
    answers = await asyncio.wait_for(asyncio.gather(*callers), 30)

    assert [answer.json()["account_name"] for answer in answers] == handles


@pytest.mark.usefixtures("no_poll")
async def test_what_ended_during_a_restart_is_found_after_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await subscribed(api)
    caller = asyncio.create_task(api.connect())
    await waiting(api, 1)
    (task_id,) = task_ids(api)
    api.valkey.stop()
    monkeypatch.setattr(api.worker, "announce", lambda task: None)
    await asyncio.to_thread(api.worker.succeed, task_id)
    await asyncio.to_thread(api.valkey.start)

    assert (await asyncio.wait_for(caller, 20)).status_code == 201
    await subscribed(api)


async def test_without_redis_the_poll_finds_the_outcome(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = asyncio.create_task(api.connect())
    await waiting(api, 1)
    (task_id,) = task_ids(api)
    api.valkey.stop()
    monkeypatch.setattr(api.worker, "announce", lambda task: None)
    await asyncio.to_thread(api.worker.succeed, task_id)

    assert (await asyncio.wait_for(caller, 10)).status_code == 201


# What carries the messages may be another server than the one that announces.
ON_EITHER = pytest.mark.parametrize("api", ["valkey", "rabbitmq"], indirect=True)


@ON_EITHER
async def test_a_refused_connection_is_a_503_in_time_for_everybody(api: Api) -> None:
    api.broker.stop()

    # A send gives up within two seconds at the most. kombu by itself would try again and again, for 24 in all.
    async with asyncio.timeout(12):
        answers = await asyncio.gather(*(api.connect(f"user{n}.test") for n in range(50)))

    assert {answer.status_code for answer in answers} == {503}
    assert len({answer.json()["error"]["details"]["task_id"] for answer in answers}) == 50


@ON_EITHER
async def test_a_broker_that_hangs_is_a_503_in_time_for_everybody(api: Api) -> None:
    await api.connect(Prefer="respond-async")  # so that there is a connection to hang on
    with frozen(*api.broker.pids):
        # It hangs until the test ends. Two seconds for each threadful of callers, instead of for all together, are 38.
        async with asyncio.timeout(15):
            answers = await asyncio.gather(*(api.connect(f"user{n}.test") for n in range(300)))

    assert {answer.status_code for answer in answers} == {503}


@ON_EITHER
async def test_the_queue_works_again_after_a_restart(api: Api) -> None:
    await api.connect("before.test", Prefer="respond-async")
    api.broker.stop()
    assert (await api.connect("during.test", Prefer="respond-async")).status_code == 503
    await asyncio.to_thread(api.broker.start)

    handles = (f"after{n}.test" for n in itertools.count())
    async with asyncio.timeout(10):  # nobody tries for a moment after a failure
        while (await api.connect(next(handles), Prefer="respond-async")).status_code != 202:
            pass
    answers = [await api.connect(next(handles), Prefer="respond-async") for _ in range(20)]

    assert {answer.status_code for answer in answers} == {202}


async def test_ready_means_that_a_worker_lives(api: Api) -> None:
    assert (await api.client.get("/readyz")).json()["error"]["details"]["worker"] == "none"
    with api.valkey.client() as redis:
        redis.set("connector:worker-alive", "1")
    assert (await api.client.get("/readyz")).status_code == 200
    api.valkey.stop()
    assert (await api.client.get("/readyz")).json()["error"]["details"]["queue"] == "unreachable"
