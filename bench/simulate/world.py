"""What is simulated: how many of everything, where rows lead, and what hosts take to answer."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from connections.rate import Rate

HOSTED, DIRECTORY = "bsky.social", "plc.directory"

LARGEST_BATCH = 10_000


class Design(StrEnum):
    """Whose budgets a run of the dispatcher plans for, and who performs what it sends."""

    OWN = "own"
    """As it was: those of the address of the worker that runs it; whoever is free."""
    POOLED = "pooled"
    """As shipped: those of all living addresses together; whoever is free."""
    ADDRESSED = "addressed"
    """Those of all living addresses together; workers at the address whose room a message was planned for."""


class Host(NamedTuple):
    """Answers take about `seconds`; a silent one has None and does not answer."""

    name: str
    seconds: float | None


class Kinds(NamedTuple):
    """Shares of all rows that lead to hosts of their own, and how many such hosts there are."""

    rows: float
    hosts: int
    seconds: float | None


SELF_HOSTED: Mapping[str, Kinds] = {
    "quick": Kinds(0.048, 32, 0.5),
    "slow": Kinds(0.0016, 6, 5.0),
    "silent": Kinds(0.0004, 2, None),
}

# A login takes a PDS 350 ms on purpose, the way there and back a little more.
HOSTED_SECONDS = 0.4
DIRECTORY_SECONDS = 0.05
# Of a host that answers: the spread of a log-normal around these.
SPREAD = 0.25

# An attempt at a silent host is given up before its deadline, to leave time for tidying up.
SILENT_SECONDS = 14.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`callers` a second connect one account each and wait. `small` workspaces send a batch of a hundred rows each
    after `small_after` seconds. `seconds` bounds the simulated time."""

    rows: int = 5_000_000
    workspaces: int = 200
    batches: int | None = None
    addresses: int = 50
    workers_at_address: int = 4
    threads: int = 64
    design: Design = Design.OWN
    callers: float = 20.0
    small: int = 10
    small_rows: int = 100
    small_after: float = 600.0
    seconds: float = 86_400.0
    seed: int = 1
    budget: Rate = field(default_factory=lambda: Rate(3000, 300))
    self_hosted: Mapping[str, Kinds] = field(default_factory=lambda: dict(SELF_HOSTED))

    @property
    def workers(self) -> int:
        return self.addresses * self.workers_at_address

    @property
    def allowed(self) -> float:
        """Requests a second to one host that its limit lets through, all addresses together."""
        return self.addresses * self.budget.count / self.budget.seconds


class NewBatch(NamedTuple):
    """`own` names the hosts of those rows that are not the hosted service's."""

    batch_id: str
    workspace_id: str
    hosted: int
    own: list[str]


def hosts_of(scenario: Scenario) -> dict[str, Host]:
    hosts = [Host(HOSTED, HOSTED_SECONDS), Host(DIRECTORY, DIRECTORY_SECONDS)]
    hosts += [
        Host(f"{kind}{number}.example", kinds.seconds)
        for kind, kinds in scenario.self_hosted.items()
        for number in range(kinds.hosts)
    ]
    return {host.name: host for host in hosts}


def batches_of(scenario: Scenario, dice: random.Random) -> Iterator[NewBatch]:
    """Workspaces have rows in proportion to one over their rank (Zipf), in batches as large as may be, or `batches` in
    all of about the same size."""
    names = [f"{kind}{number}.example" for kind, kinds in scenario.self_hosted.items() for number in range(kinds.hosts)]
    weights = [kinds.rows / kinds.hosts for kinds in scenario.self_hosted.values() for _ in range(kinds.hosts)]
    share = sum(weights)
    harmonic = sum(1 / rank for rank in range(1, scenario.workspaces + 1))
    largest = LARGEST_BATCH if scenario.batches is None else max(1, scenario.rows // scenario.batches)
    for rank in range(1, scenario.workspaces + 1):
        left, number = max(1, round(scenario.rows / harmonic / rank)), 0
        while left:
            rows = min(largest, left)
            own = dice.choices(names, weights, k=round(rows * share)) if share else []
            yield NewBatch(f"cb_{rank:04}_{number:04}", f"ws_{rank:04}", rows - len(own), own)
            left, number = left - rows, number + 1


def small_batches_of(scenario: Scenario) -> Iterator[NewBatch]:
    for number in range(scenario.small):
        yield NewBatch(f"cb_small{number:02}", f"ws_small{number:02}", scenario.small_rows, [])
