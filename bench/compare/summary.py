"""The rounds of a contender in one line: medians, and times beyond what the upstream takes alone."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.compare.contender import Contender
from bench.compare.run import Measured


@dataclass(frozen=True, slots=True)
class Added:
    """Milliseconds from sending a connect to its result, less the median of the floor with one caller."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Summary:
    """`cpu` and `beside` are milliseconds a connect by process, of those that do the job and of the others. `alone` and
    `together` are with one caller and with one for each slot; None where nobody waits for a single connect."""

    contender: Contender
    per_second: float
    cpu: Mapping[str, float]
    beside: Mapping[str, float]
    peak_mb: float
    alone: Added | None
    together: Added | None

    @property
    def total_cpu(self) -> float:
        return sum(self.cpu.values())


def summarized(contender: Contender, rounds: Sequence[Measured], floors: Sequence[Measured]) -> Summary:
    """`floors` are the floor's measurements of the same rounds."""
    cpu = {name: 1000 * statistics.median(one.cpu[name] for one in rounds) for name in rounds[0].cpu}
    jobs = rounds[0].jobs
    upstream = [statistics.median(floor.alone) for floor in floors]
    return Summary(
        contender,
        per_second=statistics.median(one.per_second for one in rounds),
        cpu={name: cpu[name] for name in jobs},
        beside={name: spent for name, spent in cpu.items() if name not in jobs},
        peak_mb=statistics.median(one.peak for one in rounds) / 1e6,
        alone=_added([one.alone for one in rounds], upstream),
        together=_added([one.together for one in rounds], upstream),
    )


def _added(rounds: Sequence[Sequence[float]], upstream: Sequence[float]) -> Added | None:
    if not all(rounds):
        return None
    pairs = list(zip(rounds, upstream, strict=True))
    return Added(
        p50=1000 * statistics.median(statistics.median(times) - alone for times, alone in pairs),
        p99=1000 * statistics.median(_percentile(times, 99) - alone for times, alone in pairs),
    )


def _percentile(values: Sequence[float], hundredth: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[hundredth - 1]
