"""Blocking calls, off the event loop, in pools that are bounded at both ends."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

from connections.errors import ServiceUnavailable
from connections.thread_pool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A pool for one kind of call, so that a slow kind never holds up another."""

    def __init__(self, name: str, *, size: int, backlog: int = 1000) -> None:
        """`backlog` is how many calls may wait for a thread; those beyond it are refused at once."""
        self._pool = ThreadPool(size, name=name)
        self._limit = size + backlog
        self._pending = 0

    def __len__(self) -> int:
        """How many calls run in a thread or wait for one."""
        return self._pending

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Calls the function in a thread, with this context's log bindings.

        The future fails as the function does, and with `ServiceUnavailable` when too many calls are waiting already.
        """
        loop = asyncio.get_running_loop()
        if self._pending >= self._limit:
            refused: asyncio.Future[T] = loop.create_future()
            refused.set_exception(
                ServiceUnavailable("The service is overloaded right now. Nothing was stored; try again.")
            )
            return refused
        self._pending += 1
        future = loop.run_in_executor(self._pool, partial(copy_context().run, function, *args, **kwargs))
        future.add_done_callback(self._ended)
        return future

    def _ended(self, _future: "asyncio.Future[T]") -> None:
        self._pending -= 1

    def close(self) -> None:
        """Waits for what runs; what has not started is dropped."""
        self._pool.shutdown(cancel_futures=True)
