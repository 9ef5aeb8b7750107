"""Server-sent events of how a batch comes on. (WHATWG HTML, 9.2.)

However many listen to a batch, this process looks at it once a second. Each listener is told the newest state when it
is ready for it, so one that reads slowly misses states and holds nobody up.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from connections.contract import Batch
from connections.errors import ServiceUnavailable
from connections.service import Caller

log = structlog.get_logger()

POLL_SECONDS = 1.0

# Proxies give up connections that say nothing for a minute, some for half of one.
HEARTBEAT_SECONDS = 15.0

# Then a stream ends and its listener comes again, with its key: one that has been revoked is refused.
STREAM_SECONDS = 300.0

# What a browser waits before it comes again.
_RETRY_MILLISECONDS = 2000

_CAPACITY = 1000

# Threads that are also there for callers who wait for one account.
_LOOKS_AT_ONCE = 2

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Look = Callable[[Caller, str], Awaitable[Batch]]


@dataclass(frozen=True, slots=True)
class Event:
    """One event; its id says which state it tells."""

    id: str
    name: str
    batch: Batch

    def __str__(self) -> str:
        return f"id: {self.id}\nevent: {self.name}\ndata: {self.batch.model_dump_json()}\n\n"


def events_after(batch: Batch, last_id: str | None) -> list[Event]:
    """What is to be told to a listener whose last event had this id: nothing while the state is still that one."""
    state = state_of(batch)
    events = [Event(state, "progress", batch)]
    if is_over(batch):
        events.append(Event(f"{state}-end", "end", batch))
    told = [event.id for event in events]
    return events[told.index(last_id) + 1 :] if last_id in told else events


def state_of(batch: Batch) -> str:
    """Names all of the batch that changes when its rows do. The rate does with every second: only its end counts."""
    facts = batch.model_dump_json(exclude={"rate", "eta"}) + str(batch.eta is None)
    return hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()


def is_over(batch: Batch) -> bool:
    return batch.finished_at is not None


class Watch:
    """One batch that somebody listens to, as it was last seen."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.listeners = 0
        self.polling: asyncio.Task[None]
        self.changed = self._new_change()

    def tell(self, batch: Batch) -> None:
        self.batch = batch
        self.wake()

    def wake(self) -> None:
        """Lets every listener look again."""
        changed, self.changed = self.changed, self._new_change()
        changed.set_result(None)

    def _new_change(self) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()


class BatchEvents:
    """One per process; belongs to the event loop and must be touched from nowhere else."""

    def __init__(self, look: Look, *, capacity: int = _CAPACITY) -> None:
        """`look` reads a batch for a caller; it may raise `ServiceUnavailable`."""
        self._look = look
        self._capacity = capacity
        self._watches: dict[str, Watch] = {}
        self._turns = asyncio.Semaphore(_LOOKS_AT_ONCE)
        self._is_released = False

    def __len__(self) -> int:
        """How many listen."""
        return sum(watch.listeners for watch in self._watches.values())

    def answer(self, caller: Caller, batch: Batch, last_id: str | None) -> Response:
        """The stream from this state on; a 204, on which a browser comes no more, when the end has been told."""
        if is_over(batch) and not events_after(batch, last_id):
            return Response(status_code=204, headers=_HEADERS)
        return _Stream(self, caller, batch, last_id)

    @contextmanager
    def listen(self, caller: Caller, batch: Batch) -> Iterator[Watch]:
        """Looks at the batch again and again for the length of the block.

        Raises `ServiceUnavailable` when there is no room for another listener.
        """
        if len(self) >= self._capacity:
            raise ServiceUnavailable("Too many callers listen to batches. The batch goes on; poll it instead.")
        watch = self._watches.get(batch.id) or self._begin(caller, batch)
        watch.listeners += 1
        try:
            yield watch
        finally:
            watch.listeners -= 1
            if watch.listeners == 0:
                watch.polling.cancel()
                del self._watches[batch.id]

    async def told(self, watch: Watch, last_id: str | None) -> AsyncIterator[str]:
        """What a listener is sent, until the batch is over, the service shuts down or it is time to come again."""
        yield f"retry: {_RETRY_MILLISECONDS}\n\n"
        clock = asyncio.get_running_loop().time
        ends_at = clock() + STREAM_SECONDS
        while not self._is_released and clock() < ends_at:
            batch, changed = watch.batch, watch.changed  # together: a listener may be told something in between
            for event in events_after(batch, last_id):
                last_id = event.id
                yield str(event)
            if is_over(batch):
                return
            await asyncio.wait((changed, watch.polling), timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if watch.polling.done():
                watch.polling.result()  # a bug there is one of each listener's request
            elif not changed.done():
                yield ": still here\n\n"

    def release(self) -> None:
        """Shutting down: ends all streams. Who listens comes again, to another process, and goes on from there."""
        self._is_released = True
        for watch in self._watches.values():
            watch.wake()

    def _begin(self, caller: Caller, batch: Batch) -> Watch:
        watch = self._watches[batch.id] = Watch(batch)
        watch.polling = asyncio.create_task(self._poll(caller, watch))
        return watch

    async def _poll(self, caller: Caller, watch: Watch) -> None:
        while not is_over(watch.batch):
            await asyncio.sleep(POLL_SECONDS)
            try:
                async with self._turns:
                    batch = await self._look(caller, watch.batch.id)
            except ServiceUnavailable:
                log.warning("batch_not_read", batch_id=watch.batch.id)  # the next poll asks again
                continue
            if state_of(batch) != state_of(watch.batch):
                watch.tell(batch)


class _Stream(StreamingResponse):
    """Counts as a listener from its first byte to its last, or until the caller hangs up."""

    def __init__(self, events: BatchEvents, caller: Caller, batch: Batch, last_id: str | None) -> None:
        super().__init__((), headers=_HEADERS, media_type="text/event-stream")
        self._events = events
        self._caller = caller
        self._batch = batch
        self._last_id = last_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._events.listen(self._caller, self._batch) as watch:
            self.body_iterator = self._events.told(watch, self._last_id)
            await super().__call__(scope, receive, send)
