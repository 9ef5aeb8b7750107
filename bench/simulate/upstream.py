"""The hosts: what they count, independently of what the workers think they have used, and what their answers take."""

import random
from collections import defaultdict, deque
from collections.abc import Mapping

from bench.simulate.loop import Loop
from bench.simulate.world import SPREAD, Host
from connections.rate import Rate

# Any time will do; headers speak of epoch seconds.
EPOCH = 1_790_000_000

_LOGIN_LIMIT = 30


class Upstream:
    """Fixed windows for each address, as a PDS has them: one begins with the first request after the last has ended.

    `refused` requests are answered 429 there; a simulation has failed if there is one.
    """

    def __init__(self, loop: Loop, hosts: Mapping[str, Host], limit: Rate, dice: random.Random) -> None:
        self._loop = loop
        self._hosts = hosts
        self._limit = limit
        self._dice = dice
        self._windows: dict[tuple[str, int], tuple[int, int]] = {}
        self._latest: defaultdict[tuple[str, int], deque[float]] = defaultdict(deque)
        self.most: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.asked: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.refused = 0

    def ask(self, host: str, address: int) -> float | None:
        """A request begins: what the answer will take, None if there will be none."""
        now, key = self._loop.now, (host, address)
        began, count = self._windows.get(key, (-1, 0))
        if began < 0 or now >= began + self._limit.seconds:
            began, count = int(now), 0
        self._windows[key] = began, count + 1
        self.refused += count >= self._limit.count
        self.asked[key] += 1
        latest = self._latest[key]
        latest.append(now)
        while latest[0] <= now - self._limit.seconds:
            latest.popleft()
        self.most[key] = max(self.most[key], len(latest))
        seconds = self._hosts[host].seconds
        return None if seconds is None else seconds * self._dice.lognormvariate(0.0, SPREAD)

    def login_headers(self) -> dict[str, str]:
        """Of the tightest bucket, the account's."""
        return self._headers(_LOGIN_LIMIT, _LOGIN_LIMIT - 1, int(self._loop.now) + self._limit.seconds)

    def host_headers(self, host: str, address: int) -> dict[str, str]:
        began, count = self._windows[host, address]
        limit = self._limit.count
        return self._headers(limit, max(0, limit - count), began + self._limit.seconds)

    def _headers(self, limit: int, remaining: int, reset: int) -> dict[str, str]:
        return {
            "ratelimit-limit": str(limit),
            "ratelimit-remaining": str(remaining),
            "ratelimit-reset": str(EPOCH + reset),
            "ratelimit-policy": f"{limit};w={self._limit.seconds}",
        }
