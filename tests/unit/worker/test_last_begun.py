"""Workers tell how far they have got, now and then, and nobody where nobody asks."""

from typing import Any

import pytest
import redis

from connections.messages import LAST_BEGUN_KEY
from worker import last_begun
from worker.last_begun import LastBegun


class Client:
    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self.is_down = False

    def set(self, key: str, value: float, *, ex: int) -> None:
        if self.is_down:
            raise redis.ConnectionError
        self.told.append((key, value))


@pytest.fixture
def client() -> Any:
    return Client()


def test_the_first_is_told_and_what_follows_at_once_is_not(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = LastBegun(client, is_asked_for=True)
    begun.note(1000.0)
    begun.note(1000.1)
    assert client.told == [(LAST_BEGUN_KEY, 1000.0)]

    monkeypatch.setattr(last_begun, "_AT_MOST_EVERY_SECONDS", 0.0)
    begun = LastBegun(client, is_asked_for=True)
    begun.note(1000.2)
    begun.note(1000.3)
    assert [sent_at for _, sent_at in client.told] == [1000.0, 1000.2, 1000.3]


def test_a_message_that_does_not_say_when_it_was_sent_tells_nothing(client: Any) -> None:
    LastBegun(client, is_asked_for=True).note(None)
    assert client.told == []


def test_nothing_is_told_where_nobody_asks(client: Any) -> None:
    LastBegun(client, is_asked_for=False).note(1000.0)
    assert client.told == []


def test_without_redis_the_connect_goes_on(client: Any) -> None:
    client.is_down = True
    LastBegun(client, is_asked_for=True).note(1000.0)
