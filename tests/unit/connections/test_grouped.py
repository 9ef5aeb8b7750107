"""Calls that are made together, and each has its own outcome."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from connections.grouped import Grouped
from tests.servers import wait_until


class Work:
    """Doubles numbers. Holds the first call until `may_go`, so that others gather behind it."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.has_begun = threading.Event()
        self.may_go = threading.Event()
        self.ends_with: BaseException | None = None

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(items))
        self.has_begun.set()
        self.may_go.wait(20)
        if self.ends_with is not None:
            raise self.ends_with
        return [ValueError(f"{item} is odd") if item % 2 else 2 * item for item in items]


def gathered(work: Work, items: Sequence[int]) -> list[int | BaseException]:
    """What the first call, and then all others at once, come to."""
    grouped = Grouped(work)

    def call(item: int) -> int | BaseException:
        try:
            return grouped(item)
        except BaseException as error:  # noqa: BLE001
            return error

    with ThreadPoolExecutor(len(items)) as threads:
        first = threads.submit(call, items[0])
        work.has_begun.wait(20)
        others = [threads.submit(call, item) for item in items[1:]]
        wait_until(lambda: len(grouped._waiting) == len(others), what="the others to gather")
        work.may_go.set()
        return [future.result(20) for future in (first, *others)]


def test_who_is_alone_goes_ahead_at_once() -> None:
    work = Work()
    work.may_go.set()
    grouped = Grouped(work)
    assert [grouped(2), grouped(4)] == [4, 8]
    assert work.calls == [[2], [4]]


def test_those_who_come_meanwhile_go_together() -> None:
    work = Work()
    assert gathered(work, [2, 4, 6, 8]) == [4, 8, 12, 16]
    assert (work.calls[0], sorted(work.calls[1])) == ([2], [4, 6, 8])


def test_there_is_an_end_to_a_group() -> None:
    work = Work()
    numbers = [2 * number for number in range(100)]
    assert gathered(work, numbers) == [2 * number for number in numbers]
    assert list(map(len, work.calls)) == [1, 64, 35]


def test_each_fails_for_itself() -> None:
    first, second, third = gathered(Work(), [2, 3, 4])
    assert (first, third) == (4, 8)
    assert isinstance(second, ValueError)


@pytest.mark.parametrize("error", [RuntimeError("away"), MemoryError()])
def test_what_befalls_all_is_told_to_all_and_the_next_goes_on(error: BaseException) -> None:
    work = Work()
    work.ends_with = error
    outcomes = gathered(work, [2, 4, 6])
    assert all(isinstance(outcome, RuntimeError | MemoryError) for outcome in outcomes)
    assert len(work.calls) == 2


def test_many_threads_lose_and_mix_up_nothing() -> None:
    work = Work()
    work.may_go.set()
    grouped = Grouped(work)
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(grouped, range(0, 4000, 2))) == list(range(0, 8000, 4))
