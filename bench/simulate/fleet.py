"""Queues and who reads them.

Redis gives a message to the reader that has waited longest for one. Who that is depends on when each has come back from
its last message, so here it is a matter of luck: nothing must depend on turns that nobody keeps to.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from bench.simulate.worker import Worker


class Job(Protocol):
    def begin(self, worker: Worker) -> None: ...


# After so many that have no free thread, all are looked at.
_TRIES = 8


class _Queue:
    def __init__(self, readers: Sequence[Worker], dice: Random) -> None:
        self._readers = readers
        self._dice = dice
        self.unread: deque[Job] = deque()

    def put(self, job: Job) -> None:
        self.unread.append(job)
        self.hand_out()

    def hand_out(self) -> None:
        while self.unread and (worker := self.next_reader()) is not None:
            worker.free -= 1
            self.unread.popleft().begin(worker)

    def next_reader(self) -> Worker | None:
        """One with a free thread, None when there is none."""
        for _ in range(_TRIES):
            worker = self._readers[int(self._dice.random() * len(self._readers))]
            if worker.free:
                return worker
        free = [worker for worker in self._readers if worker.free]
        return self._dice.choice(free) if free else None


class Fleet:
    """All workers. `connect` has callers' messages; those with rows go to `bulk`, or to one queue for each address."""

    def __init__(
        self, workers: Sequence[Worker], dice: Random, *, by_address: bool, after_rows: Callable[[], None]
    ) -> None:
        """`after_rows` is called when a message with rows has been performed."""
        self.workers = workers
        self._after_rows = after_rows
        self._connect = _Queue(workers, dice)
        addresses = sorted({worker.address for worker in workers})
        self._of_address = {
            address: _Queue([worker for worker in workers if worker.address == address], dice) for address in addresses
        }
        self._bulk = _Queue(workers, dice)
        self._by_address = by_address
        self._all = (self._connect, self._bulk, *self._of_address.values())

    @property
    def unread(self) -> int:
        return sum(len(queue.unread) for queue in self._all)

    def put_call(self, job: Job) -> None:
        self._connect.put(job)

    def put_rows(self, job: Job, address: int) -> None:
        (self._of_address[address] if self._by_address else self._bulk).put(job)

    def any_worker(self) -> Worker:
        """Who gets the next message of housekeeping, which holds a thread for no time that matters."""
        return self._connect.next_reader() or self.workers[0]

    def call_done(self, worker: Worker) -> None:
        worker.free += 1
        for queue in self._all:
            if queue.unread:
                queue.hand_out()

    def rows_done(self, worker: Worker) -> None:
        self.call_done(worker)
        self._after_rows()
