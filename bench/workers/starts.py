"""How long a worker takes to be ready, and how its memory stands after thousands of connects."""

import statistics
from dataclasses import dataclass

import psutil

from bench.waiting.callers import keep_posting, posting
from bench.workers.stack import cpu_seconds, running_stack

THREADS = 64
STEPS = 5


@dataclass(frozen=True, slots=True)
class Worker:
    """`ready_seconds` is the median from its start to `worker_ready` in its log, `ready_cpu_seconds` what it used.

    `rss_mb` is the memory when it was ready, then after so many `connects`, of accounts that are the hosted service's
    or that must be looked up; `refused` are answers other than 201.
    """

    database: str
    is_hosted: bool
    ready_seconds: float
    ready_cpu_seconds: float
    connects: list[int]
    rss_mb: list[float]
    connects_per_second: float
    cpu_ms_per_connect: float
    refused: int


def start_and_serve(database: str, *, is_hosted: bool, starts: int, connects: int) -> Worker:
    """Starts a worker `starts` times; the last one makes the connects."""
    with (
        running_stack(database, threads=THREADS, login_seconds=0, is_hosted=is_hosted) as stack,
        posting() as callers,
    ):
        seconds, cpu = [], []
        for number in range(starts):
            part, took = stack.start_worker(f"worker-{number}")
            seconds.append(took)
            cpu.append(cpu_seconds(part.pid))
            if number < starts - 1:
                part.end()
        process = psutil.Process(part.pid)
        done, rss = [0], [process.memory_info().rss / 1e6]
        stack.start_api()
        used, elapsed, refused = -cpu_seconds(part.pid), 0.0, 0
        for step in range(1, STEPS + 1):
            requests = stack.requests(connects // STEPS)
            posted = callers.apply(keep_posting, (stack.port, requests, THREADS))
            refused += len(requests) - posted.statuses[201]
            elapsed += posted.at[-1] - posted.at[0]
            done.append(step * len(requests))
            rss.append(process.memory_info().rss / 1e6)
        used += cpu_seconds(part.pid)
    return Worker(
        database=database,
        is_hosted=is_hosted,
        ready_seconds=statistics.median(seconds),
        ready_cpu_seconds=statistics.median(cpu),
        connects=done,
        rss_mb=rss,
        connects_per_second=done[-1] / elapsed,
        cpu_ms_per_connect=1000 * used / done[-1],
        refused=refused,
    )
