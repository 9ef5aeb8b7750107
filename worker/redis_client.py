"""The worker's own connections to Redis, beside those of Celery."""

import redis


def redis_client(url: str) -> redis.Redis:
    """Short time-outs: nothing that is kept here is worth holding up a connect for. Used by many threads at once.

    Has as many connections as there were calls at the same moment. A pool that makes threads wait for one takes as
    much CPU as the call itself. Answers are short: by itself each connection would set 64 KiB aside for one.
    """
    pool = redis.ConnectionPool.from_url(url, socket_timeout=2, socket_connect_timeout=1, socket_read_size=4096)
    return redis.Redis.from_pool(pool)
