"""One place where all callers of this process wait for what is to happen to a row of a table: for the end of a task, or
for the answer to a request.

The table is the truth. An announcement is only a hint to look at it now, so whoever can write to Redis can cause a
query but never an outcome; and behind it stands a slow poll, so that a lost announcement costs a second or two, never
the answer. Hints that come while a query runs share the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from itertools import islice
from typing import Generic, Protocol, TypeVar

import structlog

from api_shim.hanging_up import HungUp
from connections import tracing
from connections.errors import ServiceUnavailable

log = structlog.get_logger()

POLL_SECONDS = 1.0

_IDS_PER_QUERY = 500


class Ended(Protocol):
    """A row that somebody waited for. `status` says how it ended."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...


Row = TypeVar("Row", bound=Ended)

LookUp = Callable[[list[str]], Awaitable[list[Row]]]


class Waiter(Generic[Row]):
    """One caller who waits for one row."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.since = loop.time()
        self.outcome: asyncio.Future[Row | None] = loop.create_future()

    async def wait(self, seconds: float, hung_up: "asyncio.Future[None]") -> Row | None:
        """The ended row; None when it has not ended within `seconds` or the service is shutting down.

        Raises `HungUp` when `hung_up` is done first.
        """
        with tracing.span("await outcome") as span:
            await asyncio.wait((self.outcome, hung_up), timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
            span.note({"connector.outcome": self._outcome_by_now()})
        if self.outcome.done():
            return self.outcome.result()
        if hung_up.done():
            raise HungUp
        return None

    def _outcome_by_now(self) -> str:
        if not self.outcome.done() or self.outcome.exception() is not None:
            return "unknown"
        row = self.outcome.result()
        return "unknown" if row is None else row.status


class Waiting(Generic[Row]):
    """One for each table and process; belongs to the event loop and must be touched from nowhere else."""

    def __init__(self, look_up: LookUp[Row], *, capacity: int) -> None:
        """`look_up` finds those of the given rows that have ended; it may raise `ServiceUnavailable`."""
        self._look_up = look_up
        self._capacity = capacity
        self._waiters: dict[str, set[Waiter[Row]]] = {}
        self._count = 0
        self._hints: set[str] = set()
        self._lookup: asyncio.Future[list[Row]] | None = None
        self._is_released = False
        self.refused = 0
        """How many were turned away for want of room."""

    def __len__(self) -> int:
        """How many callers are waiting."""
        return self._count

    @contextmanager
    def register(self, row_id: str, *, advice: str = "Nothing was stored; try again.") -> Iterator[Waiter[Row]]:
        """Listens for the row from here on, so register before its message is sent.

        Raises `ServiceUnavailable`, with the advice, when there is no room for another caller.
        """
        if self._count >= self._capacity:
            self.refused += 1
            raise ServiceUnavailable(f"Too many callers are waiting. {advice}")
        waiter: Waiter[Row] = Waiter(asyncio.get_running_loop())
        if self._is_released:
            waiter.outcome.set_result(None)
        waiters = self._waiters.setdefault(row_id, set())
        waiters.add(waiter)
        self._count += 1
        try:
            yield waiter
        finally:
            self._count -= 1
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(row_id, None)

    async def follow(self, task_id: str, seconds: float, hung_up: "asyncio.Future[None]") -> Row | None:
        """Waits for a task that was sent earlier, so its announcement may have gone by: looks at once.

        Raises `ServiceUnavailable` when there is no room for another caller, and `HungUp`.
        """
        with self.register(task_id, advice="The task is stored and goes on; ask again, or without waiting.") as waiter:
            # In nobody's context: the query is that of all who wait, and so is what it logs and traces.
            asyncio.get_running_loop().call_soon(self.hint, [task_id], context=Context())
            return await waiter.wait(seconds, hung_up)

    def hint(self, row_ids: Iterable[str]) -> None:
        """Says that these rows may have ended. Those for which nobody waits here are ignored."""
        self._hints.update(row_id for row_id in row_ids if row_id in self._waiters)
        self._look()

    def hint_all(self) -> None:
        """Says that announcements may have been missed."""
        self.hint(list(self._waiters))

    def release_after(self, grace: float) -> None:
        """Shutting down: who still waits in `grace` seconds is answered as if their wait were over."""
        asyncio.get_running_loop().call_later(grace, self._release)

    async def run(self) -> None:
        """Looks for those whose announcement was lost, for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                self.hint(self._waiting_since(loop.time() - POLL_SECONDS))
        finally:
            if self._lookup is not None:
                self._lookup.cancel()

    def _waiting_since(self, moment: float) -> set[str]:
        return {
            row_id for row_id, waiters in self._waiters.items() if any(waiter.since <= moment for waiter in waiters)
        }

    def _look(self) -> None:
        """One query at a time."""
        if self._lookup is not None:
            return
        self._hints &= self._waiters.keys()  # some have left since
        if not self._hints:
            return
        row_ids = list(islice(self._hints, _IDS_PER_QUERY))
        self._hints.difference_update(row_ids)
        self._lookup = asyncio.ensure_future(self._look_up(row_ids))
        self._lookup.add_done_callback(partial(self._looked, row_ids))

    def _looked(self, row_ids: list[str], lookup: "asyncio.Future[list[Row]]") -> None:
        self._lookup = None
        if not lookup.cancelled():
            self._settle(row_ids, lookup)
            self._look()

    def _settle(self, row_ids: list[str], lookup: "asyncio.Future[list[Row]]") -> None:
        match lookup.exception():
            case None:
                for row in lookup.result():
                    for waiter in self._unanswered(row.id):
                        waiter.outcome.set_result(row)
            case ServiceUnavailable():
                log.warning("outcomes_not_read", rows=len(row_ids))  # the next poll asks again
            case bug:
                # Not swallowed, and no end of looking: each caller's own request fails with it.
                for row_id in row_ids:
                    for waiter in self._unanswered(row_id):
                        waiter.outcome.set_exception(bug)

    def _unanswered(self, row_id: str) -> list[Waiter[Row]]:
        return [waiter for waiter in self._waiters.get(row_id, ()) if not waiter.outcome.done()]

    def _release(self) -> None:
        self._is_released = True
        for row_id in self._waiters:
            for waiter in self._unanswered(row_id):
                waiter.outcome.set_result(None)
