"""One scenario from its first second to its last, and what is told of it."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.simulate import costs
from bench.simulate.dispatcher import Dispatcher
from bench.simulate.loop import Loop
from bench.simulate.scripts import Scripts
from bench.simulate.table import Table
from bench.simulate.upstream import Upstream
from bench.simulate.worker import Call, Site
from bench.simulate.world import HOSTED, Scenario, batches_of, hosts_of, small_batches_of

# A row of a batch lives so long.
_BATCH_TASK_SECONDS = 86_400.0

_SAMPLE_SECONDS = 10.0

# Of the simulated time, or at most: nothing is steady before.
_WARM_UP_SHARE, _WARM_UP_SECONDS = 0.2, 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What had been `connected` by then, how many requests each address had made to the hosted service, and the `load`
    so far; `is_steady` while all workspaces had rows waiting for that host."""

    second: float
    connected: int
    asked: tuple[int, ...]
    is_steady: bool
    by_workspace: dict[str, int]
    load: Mapping[str, Counter[str]]


class Simulation:
    def __init__(self, scenario: Scenario) -> None:
        dice = random.Random(scenario.seed)
        hosts = hosts_of(scenario)
        self._scenario = scenario
        self._loop = Loop()
        silent = [host.name for host in hosts.values() if host.seconds is None]
        self._table = Table(self._loop, expires_in=_BATCH_TASK_SECONDS, silent=silent)
        self._scripts = Scripts(self._loop.microseconds, counts_logins=False)
        self._upstream = Upstream(self._loop, hosts, scenario.budget, random.Random(dice.random()))
        self._site = Site(
            scenario, self._loop, self._scripts, self._upstream, self._table, random.Random(dice.random())
        )
        self._dispatcher = Dispatcher(self._site)
        for batch in batches_of(scenario, random.Random(dice.random())):
            self._table.accept(batch)
        self._large = {batch.workspace_id for batch in self._table.batches.values()}
        self._batches = len(self._table.batches)
        self._samples: list[Sample] = []

    def run(self) -> dict[str, Any]:
        """Raises `AssertionError` when a host has had to refuse a request."""
        loop, scenario = self._loop, self._scenario
        self._sample()
        self._dispatcher.start()
        if scenario.callers:
            self._call()
        loop.after(scenario.small_after, self._accept_small)
        loop.run(until=scenario.seconds, is_over=lambda: not self._table.left)
        if self._samples[-1].second < loop.now:
            self._take_sample()
        assert self._upstream.refused == 0
        return self._result()

    def _sample(self) -> None:
        self._take_sample()
        self._loop.after(_SAMPLE_SECONDS, self._sample)

    def _take_sample(self) -> None:
        addresses = range(self._scenario.addresses)
        self._samples.append(
            Sample(
                self._loop.now,
                self._site.ledger.rows["connected"],
                tuple(self._upstream.asked[HOSTED, address] for address in addresses),
                all(self._table.unsent[workspace] for workspace in self._large),
                dict(self._site.ledger.by_workspace),
                self._load(),
            )
        )

    def _call(self) -> None:
        self._site.ledger.redis["broker"] += costs.BROKER_COMMANDS
        self._site.ledger.messages["callers"] += 1
        self._dispatcher.fleet.put_call(Call(self._site, self._dispatcher.fleet.call_done))
        self._loop.after(self._site.dice.expovariate(self._scenario.callers), self._call)

    def _accept_small(self) -> None:
        for batch in small_batches_of(self._scenario):
            self._table.accept(batch)
        self._dispatcher.ask()

    def _result(self) -> dict[str, Any]:
        scenario, ledger = self._scenario, self._site.ledger
        first, last = self._steady()
        seconds = last.second - first.second
        rate = (last.connected - first.connected) / seconds
        allowed = scenario.budget.count / scenario.budget.seconds * seconds
        used = [(after - before) / allowed for before, after in zip(first.asked, last.asked, strict=True)]
        shares = [last.by_workspace.get(one, 0) - first.by_workspace.get(one, 0) for one in sorted(self._large)]
        is_finished, whole = not self._table.left, self._loop.now
        small = [
            self._table.finished[batch.batch_id] - scenario.small_after
            for batch in small_batches_of(scenario)
            if batch.batch_id in self._table.finished
        ]
        return {
            "design": str(scenario.design),
            "addresses": scenario.addresses,
            "workers": scenario.workers,
            "rows": scenario.rows,
            "batches": self._batches,
            "seconds": whole,
            "is_finished": is_finished,
            "accepted": self._table.accepted,
            "connected": ledger.rows["connected"],
            "failed": ledger.rows["failed"] + ledger.rows["expired"] + self._table.expired,
            "left": sum(batch.left for batch in self._table.batches.values()),
            "steady_seconds": seconds,
            "rows_per_second": rate,
            "allowed_per_second": scenario.allowed,
            "hours": whole / 3600 if is_finished else scenario.rows / rate / 3600 if rate else None,
            "hours_99": self._hours_until(0.99),
            "used": {"least": min(used), "mean": sum(used) / len(used), "most": max(used)},
            "used_by_address": used,
            "most_in_a_window": max(self._upstream.most.values()),
            "refused": self._upstream.refused,
            "fairness": jain(shares),
            "small_seconds": {"median": middle(small), "last": max(small)} if small else None,
            "callers_ms": in_ms(ledger.caller_waits),
            "turn_seconds": sum(ledger.turns) / max(1, len(ledger.turns)),
            "turns_per_second": len(ledger.turns) / whole,
            "came_back_per_100": 100 * ledger.rows["came back"] / max(1, ledger.rows["connected"]),
            "came_back_for_a_place": ledger.rows["came back for a place"],
            "given_back": ledger.rows["given back"],
            **{
                f"{name}_per_second": per_second(count - first.load[name], seconds) for name, count in last.load.items()
            },
            "cores": {
                "workers": rate * costs.WORKER_MS / 1000,
                "postgres": rate * costs.POSTGRES_MS / 1000,
                "valkey": rate * costs.VALKEY_MS / 1000,
            },
            "curve": [[sample.second, sample.connected] for sample in thinned(self._samples)],
        }

    def _steady(self) -> tuple[Sample, Sample]:
        """Between warming up and the first workspace that has nothing left to send to the hosted service."""
        steady = [sample for sample in self._samples if sample.is_steady] or self._samples
        if len(steady) < 2:
            steady = self._samples
        begins = min(_WARM_UP_SECONDS, _WARM_UP_SHARE * steady[-1].second)
        first = next(sample for sample in steady if sample.second >= begins)
        return (first, steady[-1]) if first is not steady[-1] else (self._samples[0], self._samples[-1])

    def _hours_until(self, share: float) -> float | None:
        """Until so many of the rows were connected."""
        wanted = share * self._table.accepted
        return next((sample.second / 3600 for sample in self._samples if sample.connected >= wanted), None)

    def _load(self) -> dict[str, Counter[str]]:
        ledger, calls = self._site.ledger, self._scripts.calls
        scripts = Counter(
            turns=calls["take"] + calls["take_ahead"] + calls["take_back"] + calls["no_login"],
            answers=calls["learn"],
            idle=round(costs.IDLE_COMMANDS_PER_SECOND * self._scenario.workers * self._loop.now),
        )
        return {
            "messages": ledger.messages.copy(),
            "redis": ledger.redis + scripts,
            "statements": ledger.statements.copy(),
            "commits": ledger.commits.copy(),
        }


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def in_ms(waits: Sequence[float]) -> dict[str, float]:
    ordered = sorted(waits) or [0.0]
    return {name: 1000 * ordered[int(share * (len(ordered) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99))} | {
        "most": 1000 * ordered[-1]
    }


def per_second(counts: Mapping[str, int], seconds: float) -> dict[str, float]:
    return {name: count / seconds for name, count in sorted(counts.items())} | {"all": sum(counts.values()) / seconds}


def thinned(samples: Sequence[Sample], points: int = 100) -> list[Sample]:
    step = max(1, len(samples) // points)
    return [*samples[::step], samples[-1]]
