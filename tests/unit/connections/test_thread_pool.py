"""Who works next, and what becomes of what waits."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack

import pytest

from connections.thread_pool import ThreadPool
from tests.servers import wait_until

SECONDS = 30


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool(3, name="test")
    yield pool
    pool.shutdown(cancel_futures=True)


class Busy:
    """A call that goes on until it is let go."""

    def __init__(self, pool: ThreadPool) -> None:
        self._begun, self._may_end = threading.Event(), threading.Event()
        self.future: Future[int] = pool.submit(self._run)

    def _run(self) -> int:
        self._begun.set()
        assert self._may_end.wait(SECONDS)
        return threading.get_ident()

    def has_begun(self) -> bool:
        return self._begun.wait(SECONDS)

    def let_go(self) -> int:
        """The thread that it ran in."""
        self._may_end.set()
        return self.future.result(SECONDS)


def all_busy(pool: ThreadPool) -> list[Busy]:
    calls = [Busy(pool) for _ in range(3)]
    assert all(call.has_begun() for call in calls)
    return calls


def test_who_became_idle_last_works_next(pool: ThreadPool) -> None:
    threads = []
    for number, call in enumerate(all_busy(pool), start=1):
        threads.append(call.let_go())
        wait_until(lambda number=number: pool.idle == number, what="an idle thread")  # type: ignore[misc]

    assert [call.let_go() for call in all_busy(pool)] == threads[::-1]


def test_there_are_no_more_threads_than_calls_at_a_time(pool: ThreadPool) -> None:
    for _ in range(5):
        pool.submit(int).result(SECONDS)
        wait_until(lambda: pool.idle == 1, what="an idle thread")

    assert len(pool) == 1


def test_calls_that_find_no_thread_are_made_in_their_order(pool: ThreadPool) -> None:
    calls = all_busy(pool)
    done: list[int] = []
    later = [pool.submit(done.append, number) for number in range(5)]
    assert len(pool) == 3
    assert done == []

    calls[0].let_go()  # the others stay, so that one thread makes all of them

    for future in later:
        future.result(SECONDS)
    assert done == [0, 1, 2, 3, 4]
    for call in calls[1:]:
        call.let_go()


def test_an_error_is_the_callers_and_the_thread_goes_on(pool: ThreadPool) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        pool.submit(int, "x").result(SECONDS)

    assert pool.submit(int, "7").result(SECONDS) == 7


def test_a_call_that_has_failed_is_not_kept(pool: ThreadPool) -> None:
    """Not until the garbage is collected, either: what it was given may be secret."""
    gc.disable()
    try:
        future = weakref.ref(pool.submit(int, "x"))
        wait_until(lambda: pool.idle == 1, what="an idle thread")
        assert future() is None
    finally:
        gc.enable()


def test_what_was_cancelled_is_not_called(pool: ThreadPool) -> None:
    calls = all_busy(pool)
    called: list[int] = []
    waiting = pool.submit(called.append, 1)

    assert waiting.cancel()

    for call in calls:
        call.let_go()
    pool.shutdown()
    assert called == []


@pytest.mark.parametrize("cancels", [False, True])
def test_a_shutdown_waits_for_what_runs(cancels: bool) -> None:
    pool = ThreadPool(1, name="test")
    with ExitStack() as stack:
        running = Busy(pool)
        assert running.has_begun()
        waiting = pool.submit(int, "7")
        pool.shutdown(wait=False, cancel_futures=cancels)
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(int)
        stack.callback(pool.shutdown)

        running.let_go()

    assert waiting.cancelled() is cancels
    assert cancels or waiting.result(SECONDS) == 7


def test_idle_threads_end_with_a_shutdown(pool: ThreadPool) -> None:
    before = threading.active_count()
    for call in all_busy(pool):
        call.let_go()

    pool.shutdown()

    assert threading.active_count() == before
