"""The documented rate limits of a PDS.

Fixed windows that start with the first request of a bucket; every consumed limit counts, refused requests too, and
the answer shows the tightest one. Source: `@atproto/pds` `createSession.ts` and `rate-limits.ts`,
`@atproto/xrpc-server` `rate-limiter.ts`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.message import HeaderList
from sandbox.xrpc import XrpcError

# Buckets of past windows are dropped whenever this many, or twice the live ones, have gathered.
_PRUNE_AT = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `points` requests of one bucket in `seconds`."""

    name: str
    points: int
    seconds: int


LOGIN_DAY = Limit("createSession-day", 300, 24 * 60 * 60)
LOGIN_5_MINUTES = Limit("createSession-5min", 30, 5 * 60)
CREATE_ACCOUNT = Limit("createAccount", 100, 5 * 60)
GLOBAL = Limit("global-ip", 3000, 5 * 60)


class RateLimitExceeded(XrpcError):
    """429, with the headers of the limit that was hit."""

    def __init__(self, headers: HeaderList) -> None:
        super().__init__(429, "RateLimitExceeded", "Rate Limit Exceeded", headers)


@dataclass(slots=True)
class _Window:
    used: int
    ends_at: float


class Limits:
    """The buckets of one host.

    `scale` shortens (below 1) or stretches every window; `retry_after` adds the header that newer servers send.
    """

    def __init__(self, clock: Clock, *, enabled: bool = False, scale: float = 1.0, retry_after: bool = False) -> None:
        self.enabled = enabled
        self.scale = scale
        self.retry_after = retry_after
        self._clock = clock
        self._windows: dict[tuple[Limit, str], _Window] = {}
        self._prune_at = _PRUNE_AT

    def consume(self, buckets: Sequence[tuple[Limit, str]]) -> HeaderList:
        """Count one request in each bucket and give the headers of the tightest; none while switched off.

        Raises RateLimitExceeded when a bucket is used up: the first of them in the order given.
        """
        if not self.enabled:
            return []
        now = self._clock.now()
        counted = [(limit, self._count(limit, key, now)) for limit, key in buckets]
        for limit, window in counted:
            if window.used > limit.points:
                raise RateLimitExceeded(self._headers(limit, window, now, refused=True))
        limit, window = min(counted, key=lambda pair: pair[0].points - pair[1].used)
        return self._headers(limit, window, now, refused=False)

    def _count(self, limit: Limit, key: str, now: float) -> _Window:
        window = self._windows.get((limit, key))
        if window is None or window.ends_at <= now:
            self._prune(now)
            window = self._windows[(limit, key)] = _Window(0, now + limit.seconds * self.scale)
        window.used += 1
        return window

    def _prune(self, now: float) -> None:
        if len(self._windows) < self._prune_at:
            return
        self._windows = {key: window for key, window in self._windows.items() if window.ends_at > now}
        self._prune_at = max(_PRUNE_AT, 2 * len(self._windows))

    def _headers(self, limit: Limit, window: _Window, now: float, *, refused: bool) -> HeaderList:
        seconds = max(1, round(limit.seconds * self.scale))
        headers = [
            (b"RateLimit-Limit", b"%d" % limit.points),
            (b"RateLimit-Reset", b"%d" % math.floor(window.ends_at)),
            (b"RateLimit-Remaining", b"%d" % max(0, limit.points - window.used)),
            (b"RateLimit-Policy", b"%d;w=%d" % (limit.points, seconds)),
        ]
        if refused and self.retry_after:
            headers.append((b"Retry-After", b"%d" % math.ceil(window.ends_at - now)))
        return headers
