"""Requests that nobody waits for, as many as one API process takes."""

import statistics
from dataclasses import dataclass

from bench.kept import percentile
from bench.waiting.callers import keep_posting, posting
from bench.waiting.crowd import request
from bench.waiting.servers import Api


@dataclass(frozen=True, slots=True)
class Accepted:
    """At so many keep-alive connections. CPU is of the API's process and for one request.

    `per_core` is what a core of its own would take: 1000 / `cpu_ms`. Times in milliseconds.
    """

    database: str
    connections: int
    requests_per_second: float
    cpu_ms: float
    per_core: float
    cores: float
    p50_ms: float
    p99_ms: float


def accept(database: str, api: Api, connections: int, requests: int) -> Accepted:
    with posting() as process:
        process.apply(keep_posting, (api.port, [request(api, "respond-async")], 1))  # the process is up now
        wanted = [request(api, "respond-async") for _ in range(requests)]
        cpu = api.cpu_seconds
        posted = process.apply(keep_posting, (api.port, wanted, connections))
        cpu = api.cpu_seconds - cpu
    assert posted.statuses == {202: requests}, posted.statuses
    seconds = posted.at[-1] - (posted.at[0] - posted.took[0])
    return Accepted(
        database=database,
        connections=connections,
        requests_per_second=requests / seconds,
        cpu_ms=1000 * cpu / requests,
        per_core=requests / cpu,
        cores=cpu / seconds,
        p50_ms=1000 * statistics.median(posted.took),
        p99_ms=1000 * percentile(posted.took, 99),
    )
