"""Whoever wants accounts connected, as a process of its own: `python -m bench.compare.caller <contender module>`.

It takes orders on its input, one JSON line each, `{"logins": [[identifier, password], …], "callers": 64}`, or without
`callers` when all are to be sent at once. It answers each with one line, `{"each": [seconds, …], "all": seconds}`: from
sending a login to its result, empty when all are sent at once, and from the first sent to the last result.
"""

import asyncio
import importlib
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from bench.compare.job import SLOTS, Login

Ticket = TypeVar("Ticket")

WAIT_SECONDS = 60
POLL_SECONDS = 0.01
"""How often those look whose library has no better way of waiting for a result."""


class Caller(ABC):
    """What a contender module's `open_caller` gives."""

    @abstractmethod
    def in_turns(self, logins: Sequence[Login], callers: int) -> list[float]:
        """So many callers, each sending its next login when it has the result of the last. Seconds of each."""

    @abstractmethod
    def at_once(self, logins: Sequence[Login]) -> None:
        """Sends all and returns when all results are there."""


class ThreadCaller(Caller, Generic[Ticket]):
    """For libraries that block."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(SLOTS)

    @abstractmethod
    def send(self, login: Login) -> Ticket: ...

    @abstractmethod
    def wait(self, ticket: Ticket) -> None:
        """Returns with the result. Raises when there is none after a minute."""

    def in_turns(self, logins: Sequence[Login], callers: int) -> list[float]:
        waiting = iter(logins)

        def call_again_and_again() -> list[float]:
            return [self._timed(login) for login in waiting]

        threads = [self._threads.submit(call_again_and_again) for _ in range(callers)]
        return [seconds for thread in threads for seconds in thread.result()]

    def at_once(self, logins: Sequence[Login]) -> None:
        tickets = [self.send(login) for login in logins]
        for ticket in tickets:
            self.wait(ticket)

    def _timed(self, login: Login) -> float:
        started = time.perf_counter()
        self.wait(self.send(login))
        return time.perf_counter() - started


class AsyncCaller(Caller, Generic[Ticket]):
    """For libraries of asyncio. They are opened in the loop that they are used in."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._runner.run(self.open())

    async def open(self) -> None:
        """Opens the library's connections."""

    @abstractmethod
    async def send(self, login: Login) -> Ticket: ...

    @abstractmethod
    async def wait(self, ticket: Ticket) -> None:
        """Returns with the result. Raises when there is none after a minute."""

    def in_turns(self, logins: Sequence[Login], callers: int) -> list[float]:
        return self._runner.run(self._in_turns(logins, callers))

    def at_once(self, logins: Sequence[Login]) -> None:
        self._runner.run(self._at_once(logins))

    async def _in_turns(self, logins: Sequence[Login], callers: int) -> list[float]:
        waiting = iter(logins)

        async def call_again_and_again() -> list[float]:
            return [await self._timed(login) for login in waiting]

        times = await asyncio.gather(*(call_again_and_again() for _ in range(callers)))
        return [seconds for of_caller in times for seconds in of_caller]

    async def _at_once(self, logins: Sequence[Login]) -> None:
        tickets = [await self.send(login) for login in logins]
        for ticket in tickets:
            await self.wait(ticket)

    async def _timed(self, login: Login) -> float:
        started = time.perf_counter()
        await self.wait(await self.send(login))
        return time.perf_counter() - started


def main() -> None:
    caller: Caller = importlib.import_module(sys.argv[1]).open_caller()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(carry_out(caller, json.loads(line))) + "\n")
        sys.stdout.flush()


def carry_out(caller: Caller, order: dict[str, Any]) -> dict[str, Any]:
    logins = [Login(*credentials) for credentials in order["logins"]]
    each, started = [], time.perf_counter()
    if "callers" in order:
        each = caller.in_turns(logins, order["callers"])
    else:
        caller.at_once(logins)
    return {"each": each, "all": time.perf_counter() - started}


if __name__ == "__main__":
    main()
