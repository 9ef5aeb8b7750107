"""The body of a batch for a thread that reads it while the event loop receives it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Self

from starlette.requests import ClientDisconnect, Request

from api_shim.body import announced_length
from connections.bulk.rows import MAX_BYTES, TOO_LARGE
from connections.errors import BadRequest, PayloadTooLarge

_PIECE_BYTES = 64 * 1024

# For one piece. Whoever is slower holds a thread that others could use.
PATIENCE_SECONDS = 30.0

# For all of them, not counting what we take to read them. Else 16 MiB may take two hours, a piece every 30 s.
WHOLE_SECONDS = 300.0


class Upload:
    """Iterate over it in a thread; leave the `with` block in the event loop, which frees the thread in whatever state.

    Raises `PayloadTooLarge`, and `BadRequest` when the caller hangs up or is too slow, or the block was left.
    """

    def __init__(self, request: Request) -> None:
        """Raises `PayloadTooLarge` when the caller says beforehand that it is."""
        if announced_length(request) > MAX_BYTES:
            raise PayloadTooLarge(TOO_LARGE)
        self._chunks = request.stream()
        self._left = MAX_BYTES
        self._seconds_left = WHOLE_SECONDS
        self._loop = asyncio.get_running_loop()
        self._awaited: Future[bytes] | None = None
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._awaited is not None:
            self._awaited.cancel()

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._next():
            self._left -= len(piece)
            if self._left < 0:
                raise PayloadTooLarge(TOO_LARGE)
            yield piece

    def _next(self) -> bytes:
        if self._is_over:
            raise _ended()
        self._awaited = asyncio.run_coroutine_threadsafe(self._receive(), self._loop)
        if self._is_over:  # by now, and perhaps before there was anything to cancel
            self._awaited.cancel()
        try:
            return self._awaited.result()
        except CancelledError:
            raise _ended() from None

    async def _receive(self) -> bytes:
        """Some chunks together, so that many small ones cost no more than a few large ones; none at the end."""
        piece = bytearray()
        begun = self._loop.time()
        try:
            async with asyncio.timeout(min(PATIENCE_SECONDS, self._seconds_left)):
                async for chunk in self._chunks:
                    piece += chunk
                    if len(piece) >= _PIECE_BYTES:
                        break
        except ClientDisconnect as error:
            raise _ended() from error
        except TimeoutError as error:
            raise BadRequest("The body came too slowly.") from error
        self._seconds_left -= self._loop.time() - begun
        return bytes(piece)


def _ended() -> BadRequest:
    return BadRequest("The request ended before its body did.")
