"""What one key may ask."""

import pytest

from api_shim.key_limit import KeyLimit
from connections.errors import RateLimited
from connections.rate import Rate
from connections.settings import Settings
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_all_at_once_and_then_one_after_the_other() -> None:
    clock = Clock()
    limit = KeyLimit(Rate(3, 30), clock=clock)
    for _ in range(3):
        limit.take("key_1")
    with pytest.raises(RateLimited) as refused:
        limit.take("key_1")
    assert refused.value.retry_after == pytest.approx(10)

    clock.now += 10
    limit.take("key_1")
    with pytest.raises(RateLimited):
        limit.take("key_1")
    assert limit.refused == 2


def test_never_more_than_twice_the_count_in_a_window() -> None:
    """A GCRA with a burst of all its count: the price for keeping one number a key."""
    clock = Clock()
    limit = KeyLimit(Rate(10, 10), clock=clock)
    let_through = 0
    for _ in range(1000):
        clock.now += 0.01
        try:
            limit.take("key_1")
        except RateLimited:
            continue
        let_through += 1
    assert 19 <= let_through <= 20


def test_keys_do_not_share() -> None:
    limit = KeyLimit(Rate(1, 60), clock=Clock())
    limit.take("key_1")
    limit.take("key_2")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"key_requests": Rate(2, 60)})


async def test_every_route_of_a_key_counts(api: Api) -> None:
    for _ in range(2):
        await api.get("/v1/connect/tasks/ct_1")
    answers = [await api.connect("respond-async"), await api.get("/v1/connect/batches/cb_1")]

    for answer in answers:
        assert error_of(answer, 429)["code"] == "RATE_LIMITED"
        assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert api.queue.sent == []
    text = (await api.client.get("/metrics")).text
    assert 'connector_requests_refused_total{reason="key_rate"} 2.0' in text
