"""A pool of threads in which whoever became idle last works next.

The standard library's wakes them in turn. Of sixty-four that serve one caller after the other each comes with cold
caches, and with a connection to the upstream that has been idle sixty-four times as long: until it is closed, and the
next request waits for a new one.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _Call:
    """A call that waits for a thread, or runs in one."""

    __slots__ = ("future", "run")

    def __init__(self, run: Callable[[], Any], future: "Future[Any]") -> None:
        self.run = run
        self.future = future

    def __call__(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.run()
        except BaseException as error:  # noqa: BLE001 - not handled here: who asks for the result gets it
            self.future.set_exception(error)
            del self  # the error knows this frame: in a circle it would keep the call, and what secrets it was given
        else:
            self.future.set_result(result)


class _Seat:
    """Where an idle thread waits for its next call, or for its end: None."""

    __slots__ = ("call", "wake")

    def __init__(self) -> None:
        self.wake = threading.Lock()
        self.wake.acquire()
        self.call: _Call | None = None

    def give(self, call: _Call | None) -> None:
        self.call = call
        self.wake.release()

    def take(self) -> _Call | None:
        self.wake.acquire()
        call, self.call = self.call, None
        return call


class ThreadPool(Executor):
    """As `concurrent.futures.ThreadPoolExecutor`, whose place it takes."""

    def __init__(self, size: int, *, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Seat] = []
        self._calls: deque[_Call] = deque()
        self._is_shut_down = False
        self._threads: list[threading.Thread] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Raises `RuntimeError` after the shutdown."""
        future: Future[T] = Future()
        call = _Call(partial(fn, *args, **kwargs), future)
        with self._lock:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._idle:
                self._idle.pop().give(call)
            elif len(self._threads) < self._size:
                self._start(call)
            else:
                self._calls.append(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What runs goes on. With `wait` it returns once everything has ended."""
        with self._lock:
            self._is_shut_down = True
            dropped = list(self._calls) if cancel_futures else []
            if cancel_futures:
                self._calls.clear()
            while self._idle:
                self._idle.pop().give(None)
        for call in dropped:
            call.future.cancel()
        if wait:
            for thread in self._threads:
                thread.join()

    def __len__(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    @property
    def idle(self) -> int:
        """How many of them have nothing to do."""
        return len(self._idle)

    def _start(self, call: _Call) -> None:
        # Who still works at the end of the process is waited for by a shutdown or not at all, and idle threads never.
        seat = _Seat()
        seat.give(call)  # not as an argument, which the thread would keep for as long as it lives
        name = f"{self._name}_{len(self._threads)}"
        thread = threading.Thread(target=self._work, args=(seat,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self, seat: _Seat) -> None:
        call = seat.take()
        while call is not None:
            call()
            del call  # it may hold secrets, and the thread may be idle for long
            call = self._next(seat)

    def _next(self, seat: _Seat) -> _Call | None:
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            if self._is_shut_down:
                return None
            self._idle.append(seat)
        return seat.take()
