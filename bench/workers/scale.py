"""Connects per second with more and more workers before a slow upstream.

Synchronous connects, because they may use every thread; rows of batches get half of them and 16 at one host. Threads
are few, so that these and not the machine's cores are what is used up: each is busy for a login and what is around it.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from bench.waiting.callers import keep_posting, posting
from bench.workers.stack import running_stack

LOGIN_SECONDS = 0.5
WORKERS = (1, 2, 4)
# There is always a message waiting for a thread that becomes free.
_CALLERS_PER_THREAD = 2
_WARM_UP_PER_THREAD = 3


@dataclass(frozen=True, slots=True)
class Scaled:
    """`of_linear` is the rate as a share of `workers` times that of one. CPU is in cores: all of ours, and of the
    workers alone, and `machine` of whatever else ran here, too. `refused` are answers other than 201."""

    database: str
    workers: int
    threads: int
    connects_per_second: float
    of_linear: float
    of_threads: float
    p50_ms: float
    refused: int
    cores: float
    worker_cores: float
    machine: float


def scale(database: str, *, threads: int, seconds: float) -> Iterator[Scaled]:
    one = 0.0
    with running_stack(database, threads=threads, login_seconds=LOGIN_SECONDS) as stack, posting() as callers:
        names: list[str] = []
        for workers in WORKERS:
            while len(names) < workers:
                names.append(f"worker-{len(names) + 1}")
                stack.start_worker(names[-1])
            if "api" not in stack.parts:
                stack.start_api()
            busy, most = workers * threads, workers * threads / LOGIN_SECONDS
            connections = _CALLERS_PER_THREAD * busy
            callers.apply(keep_posting, (stack.port, stack.requests(_WARM_UP_PER_THREAD * busy), connections))
            requests = stack.requests(round(most * seconds))
            psutil.cpu_percent()
            ours, theirs = stack.cpu_seconds(), stack.cpu_seconds(*names)
            posted = callers.apply(keep_posting, (stack.port, requests, connections))
            ours, theirs = stack.cpu_seconds() - ours, stack.cpu_seconds(*names) - theirs
            machine = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
            elapsed = posted.at[-1] - posted.at[0] + posted.took[0]
            rate = steady_rate(posted.at)
            one = one or rate
            yield Scaled(
                database=database,
                workers=workers,
                threads=threads,
                connects_per_second=rate,
                of_linear=rate / (workers * one),
                of_threads=rate / most,
                p50_ms=1000 * statistics.median(posted.took),
                refused=len(requests) - posted.statuses[201],
                cores=ours / elapsed,
                worker_cores=theirs / elapsed,
                machine=machine,
            )


def steady_rate(answered_at: list[float]) -> float:
    """Answers per second without the first and the last tenth, when not all threads are busy."""
    tenth = len(answered_at) // 10
    middle = sorted(answered_at)[tenth:-tenth]
    return (len(middle) - 1) / (middle[-1] - middle[0])
