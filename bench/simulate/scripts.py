"""What `worker.pacing` needs of Redis, in this process and in simulated time: keys and arguments are the Lua's."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from bench.simulate.budget import Bucket, Budget, Sizes
from worker.pacing_scripts import (
    LEARN,
    MAY_GO,
    NO_LOGIN,
    NO_LOGIN_LEFT,
    NO_TURN,
    ROOMS,
    TAKE,
    TAKE_AHEAD,
    TAKE_BACK,
)

Numbers = Sequence[float]


class Script(Protocol):
    def __call__(self, keys: Sequence[str], args: Numbers = ()) -> Any: ...


class _Window(NamedTuple):
    """Of an account: how many `logins` so far, and when it `ends`, in microseconds."""

    logins: int
    ends: float


class Scripts:
    """In the place of redis-py's client. `calls` counts by the script's name."""

    def __init__(self, now: Callable[[], float], *, counts_logins: bool = True) -> None:
        """`now` gives microseconds. Without `counts_logins` the windows of accounts are not kept, as a simulation of
        millions that log in to each account once has no use for them."""
        self._now = now
        self._counts_logins = counts_logins
        self._hosts: dict[str, Budget] = {}
        self._windows: dict[str, _Window] = {}
        self.calls = Counter[str]()
        self._scripts: dict[str, Script] = {
            TAKE: self._take,
            TAKE_AHEAD: self._take_ahead,
            TAKE_BACK: self._take_back,
            LEARN: self._learn,
            ROOMS: self._rooms,
            NO_LOGIN: self._no_login,
        }

    def register_script(self, script: str) -> Script:
        return self._scripts[script]

    def budget(self, key: str) -> Budget:
        """The host's, a new one if it has been forgotten."""
        budget = self._hosts.get(key)
        if budget is None or budget.forgotten_at <= self._now():
            budget = self._hosts[key] = Budget()
        return budget

    def logins(self, key: str) -> int:
        """How many are counted in this window of an account."""
        return self._window(key).logins

    def _take(self, keys: Sequence[str], args: Numbers = ()) -> list[float]:
        self.calls["take"] += 1
        now, budget = self._now(), self.budget(keys[0])
        nominal, window, lag, ahead, patience, in_batch, look_every, *limits = args
        accounts = keys[1:]
        for number, key in enumerate(accounts):
            if self._is_full(key, limits[2 * number]):
                return [NO_LOGIN_LEFT, self._windows[key].ends - now, 0]
        sizes = Sizes(nominal, window)
        wait = budget.wait(now, sizes, lag=lag, ahead=ahead)
        if wait > patience:
            return [NO_TURN, round(wait), 0]
        for number, key in enumerate(accounts):
            self._enter(key, limits[2 * number + 1])
        look = budget.take(now, sizes, lag=lag, in_batch=in_batch == 1, look_every=look_every)
        return [MAY_GO, round(wait), int(look)]

    def _take_ahead(self, keys: Sequence[str], args: Numbers = ()) -> list[int]:
        self.calls["take_ahead"] += 1
        nominal, window, lag, look_every, size, *limits = args
        accounts = [keys[first : first + int(size)] for first in range(1, len(keys), int(size))]
        has_room = [not any(map(self._is_full, account, limits[::2])) for account in accounts]
        look, taken = self.budget(keys[0]).take_ahead(
            self._now(), Sizes(nominal, window), lag=lag, look_every=look_every, has_room=has_room
        )
        for number in taken:
            for key, milliseconds in zip(accounts[number], limits[1::2], strict=True):
                self._enter(key, milliseconds)
        return [int(look), *taken]

    def _take_back(self, keys: Sequence[str], args: Numbers = ()) -> None:
        self.calls["take_back"] += 1
        nominal, window, _lag, turns = args
        self.budget(keys[0]).take_back(self._now(), Sizes(nominal, window), turns)
        self._withdraw(keys[1:])

    def _learn(self, keys: Sequence[str], args: Numbers = ()) -> None:
        self.calls["learn"] += 1
        nominal, window, seconds, stop, used, *bucket, speaks = args
        self.budget(keys[0]).learn(
            self._now(),
            Sizes(nominal, window),
            seconds=seconds,
            stop=stop,
            used=used,
            bucket=Bucket(*bucket),
            speaks=speaks == 1,
        )

    def _rooms(self, keys: Sequence[str], args: Numbers = ()) -> list[tuple[float, float, float]]:
        self.calls["rooms"] += 1
        now, sizes = self._now(), Sizes(*args)
        return [self.budget(key).room(now, sizes) for key in keys]

    def _no_login(self, keys: Sequence[str], args: Numbers = ()) -> None:  # noqa: ARG002  the signature of a script
        self.calls["no_login"] += 1
        self._withdraw(keys)

    def _is_full(self, key: str, most: float) -> bool:
        return self._counts_logins and self._window(key).logins >= most

    def _enter(self, key: str, milliseconds: float) -> None:
        if self._counts_logins:
            count, ends = self._window(key)
            self._windows[key] = _Window(count + 1, ends if count else self._now() + 1000 * milliseconds)

    def _withdraw(self, keys: Sequence[str]) -> None:
        for key in keys if self._counts_logins else ():
            count, ends = self._window(key)
            self._windows[key] = _Window(max(0, count - 1), ends)

    def _window(self, key: str) -> _Window:
        found = self._windows.get(key)
        return found if found is not None and found.ends > self._now() else _Window(0, 0.0)
