"""How much of a worker one host can hold."""

from contextlib import ExitStack
from threading import Event, Thread

import pytest

from connections.errors import OutOfBudget
from connections.settings import Settings
from worker.bulkhead import AT_A_QUICK_HOST, Bulkhead
from worker.hosts import host_classes

HOST = "pds.example.com"


@pytest.fixture
def bulkhead() -> Bulkhead:
    return Bulkhead(wait=0.0)


def room(bulkhead: Bulkhead, host: str = HOST) -> int:
    """How many get in at once."""
    with ExitStack() as held:
        for count in range(100):
            try:
                held.enter_context(bulkhead.hold(host))
            except OutOfBudget:
                return count
    raise AssertionError("no end")


def test_a_host_that_nobody_knows_holds_one(bulkhead: Bulkhead) -> None:
    assert room(bulkhead) == 1
    assert room(bulkhead) == 1  # given back


def test_a_quick_host_holds_more(bulkhead: Bulkhead) -> None:
    bulkhead.answered(HOST, 0.3)
    assert room(bulkhead) == AT_A_QUICK_HOST
    assert room(bulkhead, "other.example.com") == 1


@pytest.mark.parametrize("becomes_slow", [lambda it: it.answered(HOST, 3.1), lambda it: it.failed(HOST, 0.1)])
def test_quick_is_who_was_quick_last(bulkhead: Bulkhead, becomes_slow: object) -> None:
    assert callable(becomes_slow)
    bulkhead.answered(HOST, 0.3)
    becomes_slow(bulkhead)
    assert room(bulkhead) == 1
    bulkhead.answered(HOST, 0.3)
    assert room(bulkhead) == AT_A_QUICK_HOST


def test_a_place_is_given_back_after_a_failure(bulkhead: Bulkhead) -> None:
    with pytest.raises(ZeroDivisionError), bulkhead.hold(HOST):
        raise ZeroDivisionError
    assert room(bulkhead) == 1


@pytest.mark.parametrize(("seconds", "wait"), [(0.1, 1.0), (7.0, 7.0), (600.0, 15.0)])
def test_who_is_refused_learns_when_to_come_back(bulkhead: Bulkhead, seconds: float, wait: float) -> None:
    bulkhead.failed(HOST, seconds)
    with bulkhead.hold(HOST):
        for refused in (bulkhead.check, lambda host: bulkhead.hold(host).__enter__()):
            with pytest.raises(OutOfBudget) as caught:
                refused(HOST)
            assert (caught.value.host, caught.value.retry_after) == (HOST, wait)
    bulkhead.check(HOST)


def test_a_place_at_a_quick_host_is_waited_for() -> None:
    bulkhead = Bulkhead({HOST}, wait=30.0)
    is_in = Event()

    def wait_for_a_place() -> None:
        with bulkhead.hold(HOST):
            is_in.set()

    with ExitStack() as held:
        for _ in range(AT_A_QUICK_HOST):
            held.enter_context(bulkhead.hold(HOST))
        waiting = Thread(target=wait_for_a_place)
        waiting.start()
        assert not is_in.is_set()
    waiting.join(20)
    assert is_in.is_set()


def test_strangers_names_are_forgotten_but_not_who_is_there(bulkhead: Bulkhead) -> None:
    with bulkhead.hold(HOST):
        for number in range(5000):
            bulkhead.answered(f"host-{number}.example.com", 0.1)
        with pytest.raises(OutOfBudget):
            bulkhead.check(HOST)
    assert room(bulkhead, "host-0.example.com") == 1
    assert room(bulkhead, "host-4999.example.com") == AT_A_QUICK_HOST


def test_the_operators_hosts_are_quick_from_the_start() -> None:
    settings = Settings(plc_url="https://PLC.example.com", dev_pds_url="http://127.0.0.1:2583")
    bulkhead = Bulkhead(host_classes(settings), wait=0.0)
    assert {host: room(bulkhead, host) for host in ("plc.example.com", "127.0.0.1:2583", HOST)} == {
        "plc.example.com": AT_A_QUICK_HOST,
        "127.0.0.1:2583": AT_A_QUICK_HOST,
        HOST: 1,
    }
