"""Whose turn it is: webhooks that wait, handed to threads so that slow receivers leave room for the others."""

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connections.repository.deliveries import WaitingWebhook

# In one go. The next one goes on from there.
_MOST_LOOKS = 10

Look = Callable[[str], tuple[list[WaitingWebhook], str | None]]
"""Webhooks behind the one with this id that wait, and where to go on, None at the end."""


class Turns:
    """One per process: the runs that go on at the same time know of each other's threads."""

    def __init__(
        self, look: Look, *, per_webhook: int, shuffle: Callable[[list[WaitingWebhook]], None] = random.shuffle
    ) -> None:
        """No more than `per_webhook` threads have the same webhook."""
        self._look = look
        self._per_webhook = per_webhook
        self._shuffle = shuffle
        self._lock = threading.Lock()
        self._after = ""
        self._serving: Counter[str] = Counter()

    def serving(self) -> int:
        """How many threads have a webhook."""
        return self._serving.total()

    def begin(self) -> "Run":
        """A run, with what waits. Raises `ServiceUnavailable`."""
        with self._lock:
            return Run(deque(self._look_around()), set())

    def next(self, run: "Run") -> WaitingWebhook | None:
        """A webhook for one thread, until `done`; None when none waits that this run has not done with.

        Raises `ServiceUnavailable`.
        """
        with self._lock:
            if not run.found:
                run.found.extend(self._look_around())
            for _ in range(len(run.found)):
                webhook = run.found.popleft()
                if webhook.id not in run.done_with and self._serving[webhook.id] < self._per_webhook:
                    self._serving[webhook.id] += 1
                    return webhook
        return None

    def done(self, run: "Run", webhook: WaitingWebhook, *, has_more: bool) -> None:
        """Without more, or when it is better left alone, this run does not have it again."""
        with self._lock:
            self._serving[webhook.id] -= 1
            if not has_more:
                run.done_with.add(webhook.id)

    def _look_around(self) -> Sequence[WaitingWebhook]:
        """Goes on where the last look ended, and round, until some are found: many that wait for their time in one
        place hide none behind them."""
        found: list[WaitingWebhook] = []
        is_round = not self._after
        for _ in range(_MOST_LOOKS):
            found, last = self._look(self._after)
            self._after = last or ""
            if found or (last is None and is_round):
                break
            is_round = is_round or last is None
        self._shuffle(found)
        return found


@dataclass(slots=True)
class Run:
    """What one run has found and is done with."""

    found: deque[WaitingWebhook]
    done_with: set[str]
