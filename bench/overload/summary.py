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
    """Of callers who came later than `after` seconds from the first, when everything is in its course."""
    begins = min(one.at for one in came) + after
    counted = [one for one in came if one.at >= begins]
    seconds = max(one.at for one in counted) - begins
    statuses = Counter(one.status for one in counted)
    served = [one.took for one in counted if one.status == 201]
    refused = [one.took for one in counted if one.status == 503]
    return Load(
        name=name,
        load=load,
        came=len(counted) / seconds,
        connected=statuses[201] / seconds,
        turned_away=statuses[503] / seconds,
        timed_out=statuses[504] / seconds,
        p50_seconds=percentile(served, 50) if len(served) > 1 else 0.0,
        p99_seconds=percentile(served, 99) if len(served) > 1 else 0.0,
        refusal_p99_seconds=percentile(refused, 99) if len(refused) > 1 else 0.0,
    )
