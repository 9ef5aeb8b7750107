"""Lets others know that at least one worker makes progress, and the dispatcher how many threads there are, and at which
addresses."""

import secrets

import redis
import structlog

from connections.messages import WORKER_ALIVE_KEY

log = structlog.get_logger()

_ALIVE_FOR_SECONDS = 10

# The living workers in a sorted set by the time of their end, by the server's clock; each with its number of threads.
_THREADS_KEY = "connector:worker-threads"

# The addresses that they send requests from, in the same way.
_ADDRESSES_KEY = "connector:worker-addresses"

# ARGV: for how many seconds a worker counts as alive, and what it is in each of the sets.
_REGISTER = """
local now = tonumber(redis.call('TIME')[1])
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  redis.call('ZADD', key, now + ARGV[1], ARGV[1 + i])
  redis.call('EXPIRE', key, ARGV[1])
end
"""

_ALIVE = "return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. redis.call('TIME')[1], '+inf')"


class Heartbeat:
    """Keys in Redis that end by themselves, and are never deleted, because another worker may renew them."""

    def __init__(self, client: redis.Redis, *, threads: int, address: str) -> None:
        """`threads` is how many this worker has, `address` the name of the one that its requests come from."""
        self._redis = client
        self._register = client.register_script(_REGISTER)
        self._worker = f"{secrets.token_hex(8)}/{threads}"
        self._address = address

    def beat(self, *, renew: bool) -> bool:
        """Renews the keys, or only asks for a sign of life. False when Redis gives none."""
        try:
            if renew:
                self._redis.set(WORKER_ALIVE_KEY, "1", ex=_ALIVE_FOR_SECONDS)
                self._register(
                    keys=[_THREADS_KEY, _ADDRESSES_KEY], args=[_ALIVE_FOR_SECONDS, self._worker, self._address]
                )
            else:
                self._redis.ping()
        except redis.RedisError as error:
            log.debug("heartbeat_missed", cause=type(error).__name__)
            return False
        return True


def live_threads(client: redis.Redis) -> list[int]:
    """The threads of each worker that has shown a sign of life lately. Raises `redis.RedisError`."""
    workers = client.register_script(_ALIVE)(keys=[_THREADS_KEY])
    return [int(worker.rsplit(b"/", 1)[1]) for worker in workers]


def live_addresses(client: redis.Redis) -> list[str]:
    """From where such workers send their requests. Raises `redis.RedisError`."""
    addresses: list[bytes] = client.register_script(_ALIVE)(keys=[_ADDRESSES_KEY])
    return [address.decode() for address in addresses]
