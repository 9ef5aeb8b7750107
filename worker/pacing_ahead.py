"""Turns for the logins of one message, taken in one step: as many as may begin at once.

Never more: a turn for later is another's to use sooner. So no more requests come after their turn than the budget keeps
free for that, and a host that is asked all it allows is asked as before, one turn at a time.
"""

import threading
from collections.abc import Mapping, Sequence

import redis

from worker.pacing_scripts import TAKE_AHEAD, TAKE_BACK


class TurnsAhead:
    """One per worker process; what a thread has taken is its own. Every method but `use` raises redis-py's errors."""

    def __init__(self, client: redis.Redis, *, numbers: Sequence[int], windows: Sequence[int], look_every: int) -> None:
        """`numbers` are interval, window and lag of a host's budget in microseconds, `windows` count and milliseconds
        of each window of an account."""
        self._take_script = client.register_script(TAKE_AHEAD)
        self._take_back_script = client.register_script(TAKE_BACK)
        self._numbers = numbers
        self._windows = windows
        self._look_every = look_every
        self._mine = threading.local()

    def take(self, key: str, accounts: Mapping[str, Sequence[str]]) -> bool:
        """Takes what may begin at once at the host whose budget is `key`, of accounts and the keys of their windows.

        Says whether it is time for a look at the host.
        """
        names = [*accounts]
        look, *taken = self._take_script(
            keys=[key, *(window for windows in accounts.values() for window in windows)],
            args=[*self._numbers, self._look_every, len(self._windows) // 2, *self._windows],
        )
        self._mine.turns = {(key, names[number]): accounts[names[number]] for number in taken}
        return bool(look)

    def use(self, key: str, account: str) -> bool:
        """Whether this thread has a turn for that login; from now on it has not."""
        return self._turns.pop((key, account), None) is not None

    def give_back(self, key: str) -> None:
        """What is left, at the host of this budget."""
        turns, self._mine.turns = self._turns, {}
        if turns:
            windows = [window for windows in turns.values() for window in windows]
            self._take_back_script(keys=[key, *windows], args=[*self._numbers, len(turns)])

    @property
    def _turns(self) -> dict[tuple[str, str], Sequence[str]]:
        turns: dict[tuple[str, str], Sequence[str]] = getattr(self._mine, "turns", {})
        return turns
