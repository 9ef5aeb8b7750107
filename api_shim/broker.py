"""What else the API asks of Redis: announcements of settled tasks, and whether a worker lives."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, cast

import orjson
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from connections.errors import QueueUnavailable
from connections.messages import LAST_BEGUN_KEY, SENT_AT, WORKER_ALIVE_KEY, Queue

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

# A connection that was silent for so long is asked whether it lives, and given up when it stays silent as long again.
_SILENCE_SECONDS = 5.0


class Broker(Protocol):
    """The port to Redis; tests put a double here."""

    async def listen(
        self, channel: str, *, on_message: Callable[[str], None], on_subscribed: Callable[[], None]
    ) -> None:
        """Hands over what is published on the channel, for ever. `on_subscribed` after every gap."""

    async def has_worker(self) -> bool:
        """Whether at least one worker lives. Raises `QueueUnavailable`."""

    async def oldest_message_age(self) -> float:
        """For how many seconds the oldest message of somebody who waits has been in the queue, 0 when it is empty.
        Raises `QueueUnavailable`."""

    async def last_begun(self) -> float:
        """When the message was sent that a worker has begun last, as a Unix time; 0 when nobody says. Workers say so
        where the age cannot be asked for. Raises `QueueUnavailable`."""

    async def close(self) -> None: ...


class RedisBroker:
    """One connection for the subscription, and one at a time for questions."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=2,
            socket_connect_timeout=1,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),  # `listen` must notice a gap, and a probe must not wait
        )

    async def listen(
        self, channel: str, *, on_message: Callable[[str], None], on_subscribed: Callable[[], None]
    ) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(channel)
                    async for kind, text in _messages(subscription):
                        if kind == "subscribe":
                            pause = _FIRST_PAUSE_SECONDS
                            on_subscribed()
                        elif kind == "message":
                            on_message(text)
            except (RedisError, OSError) as error:
                log.warning("announcements_interrupted", cause=type(error).__name__, next_try_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def has_worker(self) -> bool:
        try:
            return bool(await self._redis.exists(WORKER_ALIVE_KEY))
        except (RedisError, OSError) as error:
            raise QueueUnavailable from error

    async def oldest_message_age(self) -> float:
        try:
            message = await cast(Awaitable[bytes | None], self._redis.lindex(Queue.CONNECT, -1))
        except (RedisError, OSError) as error:
            raise QueueUnavailable from error
        return 0.0 if message is None else max(0.0, time.time() - _sent_at(message))

    async def last_begun(self) -> float:
        try:
            return float(await self._redis.get(LAST_BEGUN_KEY) or 0)
        except (RedisError, OSError) as error:
            raise QueueUnavailable from error

    async def close(self) -> None:
        await self._redis.aclose()


def _sent_at(message: bytes) -> float:
    """Now for a message that does not say: one of an older version, or none of ours."""
    try:
        return float(orjson.loads(message)["headers"][SENT_AT])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return time.time()


async def _messages(subscription: PubSub) -> AsyncIterator[tuple[str, str]]:
    """Kind and text of each message. Raises redis-py's `ConnectionError` when the connection is lost or mute."""
    is_asked = False
    while True:
        message = await subscription.get_message(timeout=_SILENCE_SECONDS)
        # redis-py swallows now and then a cancellation that meets it while it connects.
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError
        if message is not None:
            is_asked = False
            data = message["data"]
            yield message["type"], data.decode(errors="replace") if isinstance(data, bytes) else ""
        elif is_asked:
            raise RedisConnectionError("no answer to a ping")
        else:
            is_asked = True
            await subscription.ping()
