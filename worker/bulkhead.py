"""Keeps batches from sinking with one host: a bulkhead (Nygard, "Release It!") per host and worker process.

A host that does not answer holds a thread until the deadline. One that is not known to be quick may hold a single
thread for batches, so that twenty dead hosts hold twenty, and the others go on as if they were alone.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock

from connections.errors import OutOfBudget

# Requests of batches at the same time.
AT_A_QUICK_HOST = 16
AT_ANOTHER_HOST = 1

# A host is quick while its answers come within so many seconds. Short, and a moment in which it or this machine is busy
# would leave it a few rows at a time.
QUICK_SECONDS = 3.0

# What a thread waits for a place at a quick host.
_PLACE_SECONDS = 1.0

# What a refused row waits for at least and at most, in seconds.
_SHORTEST_WAIT = 1.0
_LONGEST_WAIT = 15.0

# Hosts are named by strangers; the latest are kept.
_HOSTS = 4096


@dataclass(slots=True)
class _Host:
    seconds: float
    is_quick: bool
    has_place: Condition
    held: int = 0

    @property
    def is_full(self) -> bool:
        return self.held >= (AT_A_QUICK_HOST if self.is_quick else AT_ANOTHER_HOST)


class Bulkhead:
    """One per worker process, used by its threads."""

    def __init__(self, quick: Collection[str] = (), *, wait: float = _PLACE_SECONDS) -> None:
        """`quick` are hosts to be taken for quick before they have answered. `wait` seconds are waited for a place."""
        self._quick = frozenset(quick)
        self._wait = wait
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._lock = Lock()

    def check(self, host: str) -> None:
        """Raises `OutOfBudget` when a request would not be let in now."""
        with self._lock:
            self._refuse_if_full(host, self._host(host))

    @contextmanager
    def hold(self, host: str) -> Iterator[None]:
        """Around a request to `host`. Waits a moment for a place at a quick host, as one is free soon there.

        Raises `OutOfBudget` when there is none.
        """
        with self._lock:
            state = self._host(host)
            if state.is_quick:
                state.has_place.wait_for(lambda: not state.is_full, timeout=self._wait)
            self._refuse_if_full(host, state)
            state.held += 1
        try:
            yield
        finally:
            with self._lock:
                state.held -= 1
                state.has_place.notify()  # one place, one thread: all of them would wake for nothing

    def answered(self, host: str, seconds: float) -> None:
        """An answer took so long, whoever asked."""
        self._learn(host, seconds, is_quick=seconds <= QUICK_SECONDS)

    def failed(self, host: str, seconds: float) -> None:
        """No answer came for so long."""
        self._learn(host, seconds, is_quick=False)

    def _learn(self, host: str, seconds: float, *, is_quick: bool) -> None:
        with self._lock:
            state = self._host(host)
            if is_quick and not state.is_quick:
                state.has_place.notify_all()
            state.seconds, state.is_quick = seconds, is_quick

    def _host(self, host: str) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host(0.0, host in self._quick, Condition(self._lock))
            if len(self._hosts) > _HOSTS:
                del self._hosts[next(name for name, other in self._hosts.items() if not other.held)]
        self._hosts.move_to_end(host)
        return state

    def _refuse_if_full(self, host: str, state: _Host) -> None:
        if state.is_full:
            wait = min(max(state.seconds, _SHORTEST_WAIT), _LONGEST_WAIT)
            raise OutOfBudget("The account's server is slow, so others go first.", host=host, retry_after=wait)
