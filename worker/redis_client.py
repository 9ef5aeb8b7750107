"""The worker's own connections to Redis, beside those of Celery."""

import redis

# Threads make one short call before a login and one after it.
_CONNECTIONS = 16


def redis_client(url: str) -> redis.Redis:
    """Short time-outs: nothing that is kept here is worth holding up a connect for. Used by many threads at once."""
    pool = redis.BlockingConnectionPool.from_url(
        url, max_connections=_CONNECTIONS, timeout=1, socket_timeout=2, socket_connect_timeout=1
    )
    return redis.Redis.from_pool(pool)
