"""A small map that forgets: by time, and the oldest first when it is full."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ANY_TIME = float("-inf")


class Remembered(NamedTuple, Generic[V]):
    """A hit, told apart from a remembered None: that is an absence."""

    value: V
    at: float
    until: float


class TtlCache(Generic[K, V]):
    """Safe for many threads. `clock` gives seconds and never goes back."""

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[K, Remembered[V]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: K, since: float = ANY_TIME) -> Remembered[V] | None:
        """What was put, unless its time is over or, an absence excepted, it is from before `since`, an instant of the
        cache's clock."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.until <= self._clock():
                del self._entries[key]
                return None
            return entry if entry.value is None or entry.at >= since else None

    def pop(self, key: K) -> bool:
        """Forgets an entry. Whether there was one: to one of all threads that ask."""
        with self._lock:
            entry = self._entries.pop(key, None)
            return entry is not None and entry.until > self._clock()

    def put(self, key: K, value: V, seconds: float) -> None:
        now = self._clock()
        with self._lock:
            self._entries[key] = Remembered(value, now, now + seconds)
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
