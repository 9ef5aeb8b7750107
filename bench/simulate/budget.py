"""The budget of one host in Python: what the scripts of `worker.pacing_scripts` keep in a hash, and do to it.

Line by line as the Lua, whose words it has; times are microseconds. A test runs both side by side.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Sizes(NamedTuple):
    """Nominal interval and window of a budget, in microseconds."""

    nominal: float
    window: float


class Bucket(NamedTuple):
    """What an answer shows: `remaining` of `limit` for `left` microseconds of a window of `window`."""

    limit: float
    remaining: float
    left: float
    window: float


class Budget:
    """The fields of the hash, None while they are not there."""

    __slots__ = (
        "base_at",
        "base_count",
        "base_ends",
        "base_remaining",
        "cap",
        "cap_until",
        "count",
        "factor",
        "factored_at",
        "forgotten_at",
        "line",
        "others",
        "seconds",
        "seen",
        "speaks",
        "stop",
    )

    def __init__(self) -> None:
        self.forgotten_at = math.inf
        self.line: float | None = None
        self.count: float | None = None
        self.stop: float | None = None
        self.factor: float | None = None
        self.factored_at: float | None = None
        self.cap: float | None = None
        self.cap_until: float | None = None
        self.base_ends: float | None = None
        self.base_remaining: float | None = None
        self.base_count: float | None = None
        self.base_at: float | None = None
        self.others: float | None = None
        self.seen: float | None = None
        self.speaks: float | None = None
        self.seconds: float | None = None

    def fields(self) -> dict[str, float]:
        """What the hash has."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "forgotten_at"}
        return {name: value for name, value in values.items() if value is not None}

    def wait(self, now: float, sizes: Sizes, *, lag: float, ahead: float) -> float:
        """How long a request would have to wait for its turn."""
        return max(0.0, self._line(now, sizes, lag) - now - ahead, self._or(self.stop, 0.0, now, sizes) - now)

    def take(self, now: float, sizes: Sizes, *, lag: float, in_batch: bool, look_every: float) -> bool:
        """Takes one turn. Whether it is time for a look."""
        line = self._line(now, sizes, lag)
        self.count = (self.count or 0) + 1
        self.line = _whole(line + self._interval(now, sizes))
        self._keep(now, sizes)
        return in_batch and self._is_time_for_look(look_every)

    def take_ahead(
        self, now: float, sizes: Sizes, *, lag: float, look_every: float, has_room: Sequence[bool]
    ) -> tuple[bool, list[int]]:
        """Takes what may begin at once of logins, whose accounts have room or not. Whether it is time for a look, and
        which of them have a turn."""
        if now < self._or(self.stop, 0.0, now, sizes):
            return False, []
        line, interval = self._line(now, sizes, lag), self._interval(now, sizes)
        taken: list[int] = []
        for number, is_free in enumerate(has_room):
            if line > now:
                break
            if is_free:
                line += interval
                taken.append(number)
        if not taken:
            return False, []
        self.count = (self.count or 0) + len(taken)
        self.line = _whole(line)
        self._keep(now, sizes)
        return self._is_time_for_look(look_every), taken

    def take_back(self, now: float, sizes: Sizes, turns: float) -> None:
        if self.line is not None and _is_believed(self.line, now, sizes):
            self.count = max(0, (self.count or 0) - turns)
            self.line = _whole(self.line - turns * self._interval(now, sizes))

    def learn(
        self,
        now: float,
        sizes: Sizes,
        *,
        seconds: float,
        stop: float,
        used: float,
        bucket: Bucket,
        speaks: bool,
    ) -> None:
        count = self.count or 0
        self.seconds = _whole(seconds if self.seconds is None else 0.8 * self.seconds + 0.2 * seconds)
        if speaks:
            self.speaks = 1
        if stop >= 0:
            self._stop(now, sizes, stop, used)
        if bucket.limit > 0:
            self._look(now, sizes, bucket, count)
        self._keep(now, sizes)

    def room(self, now: float, sizes: Sizes) -> tuple[float, float, float]:
        """The wait, the interval, and what its answers take or -1."""
        line, stop = self._or(self.line, 0.0, now, sizes), self._or(self.stop, 0.0, now, sizes)
        wait = max(0.0, line - now, stop - now)
        return _whole(wait), _whole(self._interval(now, sizes)), -1 if self.seconds is None else self.seconds

    def _stop(self, now: float, sizes: Sizes, stop: float, used: float) -> None:
        until = max(now + stop, self._or(self.stop, 0.0, now, sizes))
        line = _whole(max(until, self._or(self.line, 0.0, now, sizes)))
        if used >= 0 and now >= self._or(self.factored_at, 0.0, now, sizes):
            self.factor = max(0.1, self._factor(now, sizes) * max(0.5, used))
            self.factored_at = _whole(until)
        self.stop, self.line = _whole(until), line

    def _look(self, now: float, sizes: Sizes, bucket: Bucket, count: float) -> None:
        limit, remaining, left, theirs = bucket
        ends, others = now + left, self.others or 0.0
        if (
            self.base_ends is None
            or self.base_remaining is None
            or self.base_count is None
            or self.base_at is None
            or abs(ends - self.base_ends) > theirs / 4
            or remaining > self.base_remaining
        ):
            self.base_ends, self.base_remaining = _whole(ends), remaining
            self.base_count, self.base_at = count, _whole(now)
        elif now - self.base_at >= theirs / 20:
            gone, ours = self.base_remaining - remaining, count - self.base_count
            others = min(max((gone - ours) / (now - self.base_at), 0), limit / theirs)
        usual = max(sizes.nominal, min(theirs / max(limit * 0.98, 0.5), sizes.window))
        interval, left_over = usual, remaining - others * left
        if left_over + limit / 50 < (left - 500000) / usual:
            interval = max(usual, min(left / max(left_over - limit / 100, 0.001), 10 * sizes.nominal))
        self.others, self.seen, self.cap = float(f"{others:.9f}"), count, _whole(interval)
        self.cap_until = _whole(now + min(left, sizes.window) + sizes.window / 10)

    def _line(self, now: float, sizes: Sizes, lag: float) -> float:
        return max(self._or(self.line, now, now, sizes), now - lag)

    def _is_time_for_look(self, look_every: float) -> bool:
        count = self.count or 0
        if self.speaks is None or count - (self.seen or 0) < look_every:
            return False
        self.seen = count
        return True

    def _factor(self, now: float, sizes: Sizes) -> float:
        if self.factor is None or self.factored_at is None or not _is_believed(self.factored_at, now, sizes):
            return 1.0
        return min(1.0, self.factor + 0.05 * max(0, math.floor((now - self.factored_at) / sizes.window)))

    def _interval(self, now: float, sizes: Sizes) -> float:
        interval = sizes.nominal / self._factor(now, sizes)
        if self.cap is not None and now < self._or(self.cap_until, 0.0, now, sizes):
            interval = max(interval, self.cap)
        return interval

    def _keep(self, now: float, sizes: Sizes) -> None:
        self.forgotten_at = now + 1000 * _whole(2 * sizes.window / 1000 + 10000)

    @staticmethod
    def _or(date: float | None, otherwise: float, now: float, sizes: Sizes) -> float:
        return date if date is not None and _is_believed(date, now, sizes) else otherwise


def _is_believed(date: float, now: float, sizes: Sizes) -> bool:
    return date <= now + 3 * sizes.window + 10 * sizes.nominal + 10000000


def _whole(number: float) -> float:
    """As `%.0f` writes it: a half goes to the even neighbour."""
    return float(round(number))
