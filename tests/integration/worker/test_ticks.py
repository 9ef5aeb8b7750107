"""The trace of beat's ticks."""

import pytest
import redis

from tests.servers import Valkey, free_port
from worker.redis_client import redis_client
from worker.ticks import Ticks, seconds_since_tick


def test_the_age_of_a_tick(client: redis.Redis, valkey: Valkey) -> None:
    assert seconds_since_tick(client) is None
    Ticks(client).note()
    first = seconds_since_tick(client)
    assert first is not None
    assert 0 <= first < 60

    [key] = client.keys("*")
    client.pexpire(key, client.pttl(key) - 40_000)
    assert seconds_since_tick(client) == pytest.approx(40, abs=30)


def test_without_redis_a_tick_is_followed_all_the_same() -> None:
    client = redis_client(f"redis://127.0.0.1:{free_port()}/0")
    Ticks(client).note()
    with pytest.raises(redis.ConnectionError):
        seconds_since_tick(client)
