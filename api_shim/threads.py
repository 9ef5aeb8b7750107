"""Blocking calls, off the event loop, in pools that are bounded at both ends."""

import asyncio
import contextvars
from collections.abc import Callable
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

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function in a thread, with this context's log bindings.

        Raises what the function raises, and `ServiceUnavailable` when too many calls are waiting already.
        """
        if self._pending >= self._limit:
            raise ServiceUnavailable("The service is overloaded right now. Nothing was stored; try again.")
        call = partial(contextvars.copy_context().run, function, *args, **kwargs)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._pending -= 1

    def close(self) -> None:
        """Waits for what runs; what has not started is dropped."""
        self._pool.shutdown(cancel_futures=True)
