"""The age of a message that nobody can look at, from what is known of its queue."""

import pytest

from api_shim import unseen_age
from api_shim.unseen_age import UnseenAge
from connections.errors import QueueUnavailable
from tests.doubles import FakeBroker, FakeQueue


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Bench:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.queue, self.broker = FakeQueue(), FakeBroker()
        self.age = UnseenAge(self.queue.unread, self.broker.last_begun)

    async def look(self, at: float, *, unread: int, begun: float = 0.0) -> float:
        """`begun` is when the message was sent that was begun last."""
        self.clock.now, self.queue.lying, self.broker.begun = at, unread, begun
        return await self.age()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    clock = Clock()
    monkeypatch.setattr(unseen_age, "time", clock)
    return Bench(clock)


async def test_nothing_is_old_in_an_empty_queue(bench: Bench) -> None:
    assert await bench.look(1010, unread=0, begun=900) == 0


async def test_a_first_message_after_a_quiet_hour_is_new(bench: Bench) -> None:
    await bench.look(4600, unread=0, begun=1000)
    assert await bench.look(4600.5, unread=1, begun=1000) == 0.5


async def test_a_busy_queue_that_moves_is_as_old_as_what_was_begun_last(bench: Bench) -> None:
    await bench.look(1000, unread=0)
    assert await bench.look(1060, unread=40, begun=1059.8) == pytest.approx(0.2)


async def test_one_that_nothing_is_taken_from_grows_old(bench: Bench) -> None:
    await bench.look(1000, unread=0)
    assert await bench.look(1001, unread=1, begun=999) == 1
    assert await bench.look(1006, unread=9, begun=999) == 6
    assert await bench.look(1007, unread=9) == 7  # and who said so is gone


async def test_a_clock_that_is_ahead_makes_nothing_younger_than_new(bench: Bench) -> None:
    assert await bench.look(1001, unread=1, begun=1002) == 0


async def test_without_an_answer_nothing_is_known(bench: Bench) -> None:
    bench.queue.is_down = True
    with pytest.raises(QueueUnavailable):
        await bench.look(1001, unread=1)
