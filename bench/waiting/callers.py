"""Callers in a process of their own, as asyncio protocols on raw sockets.

`keep_posting` sends one request after the other on each connection, `keep_coming` one each at a steady rate; `Crowd`
sends one on each, and waits.
"""

import asyncio
import multiprocessing
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.pool import Pool
from typing import Any, cast

from bench.waiting.wire import Answers


@dataclass(frozen=True, slots=True)
class Posted:
    """`at` and `took` of each answer in seconds, the first by the monotonic clock that all processes share."""

    statuses: Counter[int]
    at: list[float]
    took: list[float]


class _Caller(asyncio.Protocol):
    """One connection. Asks `next_request` for what to send, at first and after each answer; None ends it."""

    def __init__(self, next_request: Callable[[], bytes | None], answered: Callable[[int, float], None]) -> None:
        self._next_request = next_request
        self._answered = answered
        self._answers = Answers()
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        for status in self._answers.feed(data):
            self._answered(status, self._sent_at)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.ended.done():
            self.ended.set_result(None)

    def _send(self) -> None:
        request = self._next_request()
        assert self._transport is not None
        if request is None:
            self._transport.close()
        else:
            self._sent_at = time.monotonic()
            self._transport.write(request)


def allow_files() -> None:
    """As many open sockets as the system lets a process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def posting() -> Iterator[Pool]:
    """The process for `keep_posting`: a spawned one, so that it shares no interpreter with what it measures."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def keep_posting(port: int, requests: Sequence[bytes], connections: int) -> Posted:
    """Sends all requests, each connection the next one as soon as it has its answer."""
    return asyncio.run(_keep_posting(port, requests, connections))


async def _keep_posting(port: int, requests: Sequence[bytes], connections: int) -> Posted:
    left = deque(requests)
    posted = Posted(Counter(), [], [])

    def answered(status: int, sent_at: float) -> None:
        now = time.monotonic()
        posted.statuses[status] += 1
        posted.at.append(now)
        posted.took.append(now - sent_at)

    callers = await _connect(port, connections, lambda: left.popleft() if left else None, answered)
    await asyncio.gather(*(caller.ended for caller in callers))
    return posted


@dataclass(frozen=True, slots=True)
class Came:
    """One caller: when it came, by the monotonic clock, how many seconds it waited, and what it was answered."""

    at: float
    took: float
    status: int


def keep_coming(port: int, requests: Sequence[bytes], per_second: float) -> list[Came]:
    """Sends requests at this rate, each on a connection of its own, whatever becomes of those before (an open loop)."""
    allow_files()
    return asyncio.run(_keep_coming(port, requests, per_second))


async def _keep_coming(port: int, requests: Sequence[bytes], per_second: float) -> list[Came]:
    loop = asyncio.get_running_loop()
    came: list[Came] = []
    callers: list[_Caller] = []

    def answered(status: int, sent_at: float) -> None:
        came.append(Came(sent_at, time.monotonic() - sent_at, status))

    began = loop.time()
    for number, request in enumerate(requests):
        await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
        left = deque([request])
        callers += await _connect(port, 1, lambda left=left: left.popleft() if left else None, answered)  # type: ignore[misc]
    await asyncio.gather(*(caller.ended for caller in callers))
    return came


async def _connect(
    port: int,
    connections: int,
    next_request: Callable[[], bytes | None],
    answered: Callable[[int, float], None],
) -> list[_Caller]:
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(connections):
        _, caller = await loop.create_connection(lambda: _Caller(next_request, answered), "127.0.0.1", port)
        callers.append(caller)
    return callers


class Crowd:
    """Callers who wait. Its methods are called here and done in the other process."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def add(self, requests: Sequence[bytes]) -> None:
        """That many callers more, each with one request on a connection of its own. Returns when all are sent."""
        self._ask("add", list(requests))

    def answers(self) -> list[tuple[float, int]]:
        """When each answer has come so far (monotonic seconds), and its status."""
        answers: list[tuple[float, int]] = self._ask("answers")
        return answers

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()


@contextmanager
def crowd(port: int) -> Iterator[Crowd]:
    """All callers hang up at the end."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_run_crowd, args=(port, there))
    process.start()
    try:
        yield Crowd(here)
    finally:
        here.send(("end",))
        process.join()


def _run_crowd(port: int, pipe: Pipe) -> None:
    allow_files()
    asyncio.run(_serve_crowd(port, pipe))


async def _serve_crowd(port: int, pipe: Pipe) -> None:
    loop = asyncio.get_running_loop()
    answers: list[tuple[float, int]] = []
    callers: list[_Caller] = []
    while True:
        match await loop.run_in_executor(None, pipe.recv):
            case ("add", requests):
                left = deque(requests)
                callers += await _connect(
                    port,
                    len(left),
                    lambda left=left: left.popleft() if left else None,  # type: ignore[misc]
                    lambda status, _: answers.append((time.monotonic(), status)),
                )
                pipe.send(None)
            case ("answers",):
                pipe.send(answers)
            case _:
                return
