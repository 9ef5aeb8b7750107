"""Hours of pacing in a second: the scripts on a real Valkey, in a time that the test moves on, against a limit that
counts by itself."""

import heapq
import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest
import redis

from connections.errors import OutOfBudget
from connections.rate import Rate
from sandbox.clock import Clock
from sandbox.limits import Limit, Limits, RateLimitExceeded
from tests.windows import most_in_a_window
from worker import pacing
from worker.bulkhead import Bulkhead
from worker.pace import bulk
from worker.pacing import Pacer

HOST = "pds.example.com"
BUDGET = Rate(1000, 100)
NOON = 1_790_000_000.0
ACCOUNT = Limit("createSession-5min", 30, 300)
GLOBAL = Limit("global-ip", BUDGET.count, BUDGET.seconds)

# What time it is for the scripts, in the place of the server's clock.
_TIME = ("test:seconds", "test:microseconds")
_SCRIPTS = ("TAKE", "LEARN", "ROOMS")


class Timeline(Clock):
    """The one clock of a test."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self._redis = client
        self.set(NOON)

    def now(self) -> float:
        return self._now

    def set(self, now: float) -> None:
        self._now = now
        microseconds = round(now * 1e6)
        self._redis.mset(dict(zip(_TIME, divmod(microseconds, 1_000_000), strict=True)))


def keep_to_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _SCRIPTS:
        script: str = getattr(pacing, name)
        assert script.count("redis.call('TIME')") == 1
        monkeypatch.setattr(pacing, name, script.replace("'TIME'", "'MGET', '{}', '{}'".format(*_TIME)))


@dataclass
class Upstream:
    """One host. `shows` makes an answer's headers of those that the limit gives and of the status."""

    timeline: Timeline
    limit: Limit = GLOBAL
    shows: Callable[[int, dict[str, str]], dict[str, str]] = lambda _, headers: headers
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._limits = Limits(self.timeline, enabled=True)
        self._accounts = itertools.count()

    def ask(self, call: str = "GET") -> tuple[int, dict[str, str]]:
        """Status and headers. A POST is a login, to another account each time."""
        own = [(ACCOUNT, str(next(self._accounts)))] if call == "POST" else []
        try:
            found, status = self._limits.consume([*own, (self.limit, "us")]), 200
        except RateLimitExceeded as refusal:
            found, status = refusal.headers, 429
        (self.answered if status == 200 else self.refused).append(self.timeline.now())
        return status, self.shows(status, {name.decode().lower(): value.decode() for name, value in found})

    def most_in_a_window(self) -> int:
        return most_in_a_window(self.answered + self.refused, self.limit.seconds)


class Fleet:
    """Workers that always have something to ask: each thread asks again as soon as it has its answer."""

    def __init__(self, timeline: Timeline, clients: Sequence[redis.Redis], *, budget: Rate = BUDGET) -> None:
        self.timeline = timeline
        self.slept: list[float] = []
        self.pacers = [
            Pacer(
                client,
                budget=budget,
                interactive_share=0.2,
                egress_address="test",
                bulkhead=Bulkhead({HOST}),
                sleep=self.slept.append,
                clock=timeline.now,
                monotonic=timeline.now,
            )
            for client in clients
        ]

    def take(self, number: int = 0, *, waits: bool = False) -> float:
        """Seconds until a request may begin. Raises `OutOfBudget`."""
        self.slept.clear()
        with nullcontext() if waits else bulk():
            self.pacers[number].take(HOST, deadline=self.timeline.now() + 15)
        return sum(self.slept)

    def run(
        self, upstream: Upstream, seconds: float, *, call: str = "GET", threads: int = 12, neighbour: float = 0.0
    ) -> None:
        """`neighbour` is another program's requests a second, from the same address."""
        order = itertools.count()
        ends = self.timeline.now() + seconds
        events: list[tuple[float, int, Callable[[], None]]] = []

        def at(time: float, event: Callable[[], None]) -> None:
            if time < ends:
                heapq.heappush(events, (time, next(order), event))

        def begin(number: int) -> None:
            kind = "GET" if self.pacers[number].wants_look(HOST) else call
            try:
                wait = self.take(number)
            except OutOfBudget as error:
                at(self.timeline.now() + max(error.retry_after or 0.0, 0.001), lambda: begin(number))
            else:
                at(self.timeline.now() + wait, lambda: ask(number, kind))

        def ask(number: int, kind: str) -> None:
            if self.pacers[number]._stopped.get(HOST):  # what `take` looks at when it has slept
                return at(self.timeline.now() + 0.05, lambda: begin(number))
            status, headers = upstream.ask(kind)
            self.pacers[number].learn(HOST, kind, status, headers, 0.05)
            return at(self.timeline.now() + 0.05, lambda: begin(number))

        def disturb() -> None:
            others.ask_as_neighbour()
            at(self.timeline.now() + 1 / neighbour, disturb)

        others = _Neighbour(upstream)
        for number, _ in itertools.product(range(len(self.pacers)), range(threads)):
            at(self.timeline.now(), lambda number=number: begin(number))  # type: ignore[misc]
        if neighbour:
            at(self.timeline.now(), disturb)
        while events:
            time, _, event = heapq.heappop(events)
            self.timeline.set(time)
            event()
        self.timeline.set(ends)


@dataclass
class _Neighbour:
    upstream: Upstream

    def ask_as_neighbour(self) -> None:
        counted = len(self.upstream.answered), len(self.upstream.refused)
        self.upstream.ask()
        del self.upstream.answered[counted[0] :], self.upstream.refused[counted[1] :]
