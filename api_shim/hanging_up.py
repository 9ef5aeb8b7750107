"""Notices that a caller has hung up while it waits, so that nothing more is done for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import Request

# nginx's status for a caller who has gone: for the metrics, since nobody receives it.
GONE = 499


class HungUp(Exception):
    """The caller is no longer there to be answered."""


@asynccontextmanager
async def listening(request: Request) -> AsyncIterator["asyncio.Future[None]"]:
    """Gives what is done once the caller has hung up. What nobody has read of the body by then is dropped."""
    hung_up = asyncio.ensure_future(_disconnected(request))
    try:
        yield hung_up
    finally:
        hung_up.cancel()
        with suppress(asyncio.CancelledError):
            await hung_up


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
