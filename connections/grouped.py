"""Group commit: calls that come while one is under way are made together by the next.

A transaction for one row costs as much as one for sixteen. Whoever finds nobody at work goes ahead alone and at once,
so that a single caller waits for nothing; those who come meanwhile wait together, and one of them goes for all.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# More make one transaction long, and everybody wait for it.
_MOST = 64


@dataclass(slots=True, eq=False)
class _Call(Generic[T, R]):
    """One that waits. Its `turn` is a lock that is held until it is settled, or is to go for all."""

    item: T
    turn: threading.Lock = field(default_factory=threading.Lock)
    outcome: "R | Exception | None" = None
    is_settled: bool = False


class Grouped(Generic[T, R]):
    """One for each kind of call, used by many threads."""

    def __init__(self, do: Callable[[Sequence[T]], "Sequence[R | Exception]"]) -> None:
        """`do` gives for each of its items what a call with it gives, or the error that it raises. What `do` raises
        itself, all of them raise."""
        self._do = do
        self._lock = threading.Lock()
        self._waiting: list[_Call[T, R]] = []
        self._is_busy = False

    def __call__(self, item: T) -> R:
        call = _Call[T, R](item)
        call.turn.acquire()
        with self._lock:
            self._waiting.append(call)
            goes_ahead, self._is_busy = not self._is_busy, True
        if not goes_ahead:
            call.turn.acquire()
        if not call.is_settled:
            self._go()
        if isinstance(call.outcome, Exception):
            raise call.outcome
        return call.outcome  # type: ignore[return-value]

    def _go(self) -> None:
        with self._lock:
            calls, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        outcomes: Sequence[R | Exception] = [RuntimeError("the thread that went for all has ended")] * len(calls)
        try:
            outcomes = self._do([call.item for call in calls])
        except Exception as error:  # noqa: BLE001 - not handled here: each caller's own call fails with it
            outcomes = [error] * len(calls)
        finally:
            with self._lock:
                next_one = self._waiting[0] if self._waiting else None
                self._is_busy = next_one is not None
            for call, outcome in zip(calls, outcomes, strict=True):
                call.outcome, call.is_settled = outcome, True
                call.turn.release()
            if next_one is not None:
                next_one.turn.release()
