"""Simulated time: events in the order of their time, and of their making where that is equal."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Loop:
    """`now` is in seconds and only moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []

    def microseconds(self) -> float:
        """As Redis tells the time."""
        return float(round(self.now * 1e6))

    def after(self, seconds: float, event: Callable[..., object], *arguments: Any) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), event, arguments))

    def run(self, *, until: float, is_over: Callable[[], bool]) -> None:
        """To that second, or to the event after which it is over."""
        while self._events and self._events[0][0] <= until and not is_over():
            self.now, _, event, arguments = heapq.heappop(self._events)
            event(*arguments)
