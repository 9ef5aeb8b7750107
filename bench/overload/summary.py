"""What callers met at one load."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.kept import percentile
from bench.waiting.callers import Came


@dataclass(frozen=True, slots=True)
class Load:
    """`load` is times the capacity. Rates are a second; times are those of callers who were connected, and of those
    who were not."""

    name: str
    load: float
    came: float
    connected: float
    turned_away: float
    timed_out: float
    p50_seconds: float
    p99_seconds: float
    refusal_p99_seconds: float


def summarize(name: str, load: float, came: Sequence[Came], *, after: float) -> Load:
    """What was answered from `after` seconds on, when everything is in its course, until the last caller came. By the
    time of the answers: callers are let in by waves."""
    begins, ends = min(one.at for one in came) + after, max(one.at for one in came)
    counted = [one for one in came if begins <= one.at + one.took <= ends]
    seconds = ends - begins
    statuses = Counter(one.status for one in counted)
    served = [one.took for one in counted if one.status == 201]
    refused = [one.took for one in counted if one.status == 503]
    return Load(
        name=name,
        load=load,
        came=sum(one.at >= begins for one in came) / seconds,
        connected=statuses[201] / seconds,
        turned_away=statuses[503] / seconds,
        timed_out=statuses[504] / seconds,
        p50_seconds=percentile(served, 50) if len(served) > 1 else 0.0,
        p99_seconds=percentile(served, 99) if len(served) > 1 else 0.0,
        refusal_p99_seconds=percentile(refused, 99) if len(refused) > 1 else 0.0,
    )
