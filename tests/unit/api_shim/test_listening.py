"""Listening ends when it is told to."""

import asyncio
import contextlib
from typing import Any, cast

import pytest
from redis.asyncio.client import PubSub

from api_shim.broker import _messages


class Deaf:
    """Hears of a cancellation and goes on, as redis-py does now and then."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()

    async def get_message(self, **_: float) -> dict[str, Any]:
        self.is_asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {"type": "subscribe", "data": 1}


async def test_a_cancellation_that_the_library_swallows_is_one_all_the_same() -> None:
    deaf = Deaf()

    async def listen() -> None:
        async for _ in _messages(cast(PubSub, deaf)):
            pass

    task = asyncio.create_task(listen())
    await deaf.is_asked.wait()
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task
