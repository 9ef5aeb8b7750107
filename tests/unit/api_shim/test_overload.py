"""More is asked than can be done: who would wait is told so at once."""

import asyncio

import pytest

from api_shim.overload import QueueAge
from connections.errors import QueueUnavailable, ServiceUnavailable
from tests.doubles import until
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


async def overload(api: Api) -> None:
    api.broker.queue_age = 7.2
    await until(lambda: api.shim.queue_age.seconds > 5)


async def test_who_would_wait_is_turned_away_at_once_and_nothing_is_stored(api: Api) -> None:
    await overload(api)

    answer = await api.connect()

    error = error_of(answer, 503)
    assert (error["code"], error["is_retriable"], answer.headers["retry-after"]) == ("SERVICE_UNAVAILABLE", True, "8")
    assert api.queue.sent == []
    text = (await api.client.get("/metrics")).text
    assert 'connector_requests_refused_total{reason="queue_age"} 1.0' in text
    assert "connector_queue_age_seconds 7.2" in text


async def test_who_does_not_wait_is_not_turned_away(api: Api) -> None:
    await overload(api)

    assert (await api.connect("respond-async")).status_code == 202
    assert (await api.connect("wait=0")).status_code == 202


async def test_who_waits_already_goes_on(api: Api) -> None:
    caller = asyncio.create_task(api.connect())
    await until(lambda: bool(api.queue.sent))
    await overload(api)

    api.worker.succeed(api.queue.sent[0])

    assert (await caller).status_code == 201


async def test_it_ends_when_the_queue_is_short_again(api: Api) -> None:
    await overload(api)
    api.broker.queue_age = 0.0
    await until(lambda: api.shim.queue_age.seconds == 0)

    api.queue.on_send = api.worker.succeed
    assert (await api.connect()).status_code == 201


async def test_a_queue_that_is_away_is_told_in_its_own_words(api: Api) -> None:
    await overload(api)
    api.broker.is_down = api.queue.is_down = True
    await until(lambda: api.shim.queue_age.seconds == 0)

    assert error_of(await api.connect(), 503)["code"] == "QUEUE_UNAVAILABLE"


@pytest.mark.parametrize(("seconds", "told"), [(5.1, 5.1), (120.0, 30.0)])
async def test_how_long_to_stay_away(seconds: float, told: float) -> None:
    async def age() -> float:
        return seconds

    queue_age = QueueAge(age, limit=5)
    looking = asyncio.create_task(queue_age.run())
    await until(lambda: queue_age.seconds > 0)
    looking.cancel()
    with pytest.raises(ServiceUnavailable) as refused:
        queue_age.check()
    assert refused.value.retry_after == told


async def test_no_answer_is_no_reason_to_turn_anybody_away() -> None:
    asked = asyncio.Event()

    async def age() -> float:
        asked.set()
        raise QueueUnavailable

    queue_age = QueueAge(age, limit=5)
    looking = asyncio.create_task(queue_age.run())
    await asked.wait()
    looking.cancel()
    queue_age.check()
