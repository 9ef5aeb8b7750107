"""How many requests a key may make: one GCRA (ITU-T I.371) for each key, in the memory of this process.

Not in Redis: a round trip for every request would cost a caller more than the limit protects. So what a key may do is
the limit times the number of API processes.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from connections.errors import RateLimited
from connections.rate import Rate

# Keys are made by the operator; those that were used last are kept.
_KEYS = 10_000


class KeyLimit:
    """One per process; belongs to the event loop."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate` requests of one key, all of them at once if need be. `clock` gives seconds and never goes back."""
        self._interval = rate.seconds / rate.count
        self._window = float(rate.seconds)
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()
        """When each key will have its whole allowance again."""
        self.refused = 0
        """How many requests were turned away."""

    def take(self, key_id: str) -> None:
        """Counts one request. Raises `RateLimited`, and counts nothing, when the key has made too many."""
        now = self._clock()
        full_at = max(self._full_at.get(key_id, now), now) + self._interval
        if (excess := full_at - now - self._window) > 1e-6:  # the sum of many intervals is not exact
            self.refused += 1
            raise RateLimited("Too many requests with this API key. Wait before the next one.", retry_after=excess)
        self._full_at[key_id] = full_at
        self._full_at.move_to_end(key_id)
        if len(self._full_at) > _KEYS:
            self._full_at.popitem(last=False)
