"""One dispatcher at a time, and how much it may hand out: what they share through Redis.

All of it may be lost at any moment. Two dispatchers at once only plan with the same room: rows are marked in SQL.
"""

import secrets
from typing import NamedTuple

import redis

from connections.messages import Queue
from messaging.depth import QueueDepth
from worker.bulkhead import AT_A_QUICK_HOST
from worker.heartbeat import live_threads

_LOCK_KEY = "connector:dispatching"
_TURN_KEY = "connector:dispatch-turn"
_ASKED_KEY = "connector:dispatch-asked"

# Longer than a run takes; a dispatcher that died holds up the others no longer.
_LOCK_MILLISECONDS = 10_000
# How often those who have finished something may ask for a run.
_ASK_MILLISECONDS = 100

# With so many messages unread the workers have no free threads.
_UNREAD = 4

_GIVE_UP = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Capacity(NamedTuple):
    """How many messages with rows of batches may be on their way, in all and for one host."""

    chunks: int
    at_a_host: int


class Turns:
    """One per worker process, used by its threads. Raises `redis.RedisError` as it comes."""

    def __init__(self, client: redis.Redis, depth: QueueDepth) -> None:
        self._redis = client
        self._depth = depth
        self._give_up = client.register_script(_GIVE_UP)

    def take(self) -> tuple[int, str] | None:
        """The number of this turn, and its token; None while another dispatcher has its own."""
        token = secrets.token_hex(8)
        if not self._redis.set(_LOCK_KEY, token, nx=True, px=_LOCK_MILLISECONDS):
            return None
        return int(self._redis.incr(_TURN_KEY)), token

    def give_up(self, token: str) -> None:
        self._give_up(keys=[_LOCK_KEY], args=[token])

    def may_ask(self) -> bool:
        """Whether nobody has asked for a run a moment ago."""
        return bool(self._redis.set(_ASKED_KEY, "1", nx=True, px=_ASK_MILLISECONDS))

    def capacity(self) -> Capacity:
        """The other half of the threads is for callers who wait. There is none while messages lie unread.

        Raises `QueueUnavailable` too.
        """
        if sum(self._depth(Queue.CONNECT, Queue.BULK)) >= _UNREAD:
            return Capacity(0, 0)
        threads = live_threads(self._redis)
        return Capacity(max(1, sum(threads) // 2) if threads else 0, AT_A_QUICK_HOST * len(threads))
