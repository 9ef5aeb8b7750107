"""What pacing costs and what it saves: `python -m bench.pacing`.

Ten thousand accounts on one host whose limit is the documented one in shorter windows. The ideal time is what the host
allows: rows ÷ (3,000 a window). Four sections, each selectable:

workers      1, 2 and 4 workers, and 2 while another program eats a third of the limit unannounced
hosts        200 hosts, 20 of them dead and 10 slow, against the 170 healthy ones alone
latency      synchronous callers while a batch runs, between two times without one
fairness     a workspace with a hundred rows behind one with ten thousand, against the hundred alone
"""

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx

from bench.bulk import LIMIT, WINDOW_SECONDS, End, Rig, Row, running_rig, summed
from bench.pacing_report import keep, show
from sandbox.faults import Delay, Status
from sandbox.plc import did_document
from tests.e2e.stack import body

WORKERS = (1, 2, 4)
EATEN = 1 / 3

HOSTS, DEAD, SLOW = 200, 20, 10
SLOW_SECONDS = 10.0
SILENT_SECONDS = 3600.0
RETRY_SECONDS = 60

CALLS_PER_SECOND = 3.0
SMALL_BATCH = 100
HEAD_START_SECONDS = 15.0
CURVE_POINTS = 101

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """`scale` shortens the windows of the limit, and with them the times of everything that waits for it."""

    rows: int
    scale: float
    workers: Sequence[int]

    @property
    def window(self) -> float:
        """Seconds of a window of the limit."""
        return WINDOW_SECONDS * self.scale

    def ideal_seconds(self, rows: int, *, share: float = 1.0) -> float:
        """What so many rows take at the host's limit, or at a share of it."""
        return rows / (share * LIMIT / self.window)

    def patience_seconds(self, rows: int, *, share: float = 1.0) -> float:
        """What is waited for a batch before it counts as stuck."""
        return 4 * self.ideal_seconds(rows, share=share) + 4 * self.window + 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--scale", type=float, default=0.1, help="of the limit's window of 300 s")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS, help="of the section with that name")
    parser.add_argument("--show-only", action="store_true", help="leave the results in docs/bench as they are")
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}")
    options = Options(given.rows, given.scale, given.workers)
    for name in given.sections or SECTIONS:
        section = {"rows": options.rows, "scale": options.scale, "runs": SECTIONS[name](options)}
        show(name, section)
        if not given.show_only:
            keep(name, section)


def measure_workers(options: Options) -> list[Result]:
    alone = [run_on_one_host(options, workers=number) for number in options.workers]
    return [*alone, run_on_one_host(options, workers=2, eaten=EATEN)]


def run_on_one_host(options: Options, *, workers: int, eaten: float = 0.0) -> Result:
    share = 1 - eaten
    with running_rig(workers=workers, scale=options.scale) as rig, eating(rig, eaten * LIMIT / options.window) as meals:
        tenant, rows = rig.tenant(), rig.rows(options.rows)
        before = rig.cpu_seconds()
        batch_id = rig.post(tenant, rows)
        rig.follow(tenant, batch_id, seconds=options.patience_seconds(options.rows, share=share))
        after, ends, logins = rig.cpu_seconds(), rig.ends(batch_id), rig.logins()
    seconds = last(ends)
    ideal = options.ideal_seconds(options.rows, share=share)
    return {
        "name": f"{workers} worker{'s' if workers > 1 else ''}" + (", a third eaten" if eaten else ""),
        "seconds": seconds,
        "ideal_seconds": ideal,
        "ratio": seconds / ideal,
        "logins_refused_429": logins[429],
        "others_refused_429": meals[429],
        "longest_stall_seconds": longest_stall(ends),
        "ends": summed(ends),
        "lost": sum(end.second is None for end in ends),
        "logins_to_spare": logins[200] - sum(end.how == "succeeded" for end in ends),
        "cpu_ms_a_row": {part: 1000 * (after[part] - before[part]) / len(ends) for part in after},
        "curve": curve(ends),
    }


@contextmanager
def eating(rig: Rig, per_second: float) -> Iterator[dict[int, int]]:
    """Another program at the same address that asks the host so often; gives how often it was answered with what."""
    answered = dict.fromkeys((200, 429), 0)
    is_over = threading.Event()

    def eat() -> None:
        started = time.monotonic()
        with httpx.Client(base_url=rig.busiest_url, trust_env=False) as client:
            for number in range(1, 1_000_000):
                if is_over.wait(max(0.0, started + number / per_second - time.monotonic())):
                    return
                answered[client.get("/xrpc/com.atproto.server.describeServer").status_code] += 1

    thread = threading.Thread(target=eat, name="eater")
    if per_second:
        thread.start()
    try:
        yield answered
    finally:
        is_over.set()
        if per_second:
            thread.join()


def measure_hosts(options: Options) -> list[Result]:
    """Limits off: what is measured is whether bad hosts hold up good ones, not the limit of the directory."""
    return [run_on_many_hosts(options, with_bad=False), run_on_many_hosts(options, with_bad=True)]


def run_on_many_hosts(options: Options, *, with_bad: bool) -> Result:
    each = max(1, options.rows // HOSTS)
    names = ["pds", *(f"pds{number}" for number in range(2, HOSTS + 1))]
    kinds = dict.fromkeys(names, "healthy")
    # The first is the one that is exempt by the settings anyway, so bad ones are taken from the end.
    kinds |= {name: ("refuses", "silent", "status 500")[at % 3] for at, name in enumerate(names[-DEAD:])}
    kinds |= dict.fromkeys(names[-DEAD - SLOW : -DEAD], "slow")
    with ExitStack() as stack:
        rig = stack.enter_context(
            running_rig(
                workers=2,
                scale=options.scale,
                hosts=HOSTS,
                limits=False,
                host_budget=f"{100 * LIMIT}/{round(options.window)}",
                batch_retry_seconds=str(RETRY_SECONDS),
            )
        )
        closed = stack.enter_context(closed_port())
        by_host = {name: rig.rows(each, name, kind) for name, kind in kinds.items() if with_bad or kind == "healthy"}
        for name, rows in by_host.items():
            spoil(rig, name, rows, closed)
        # In turns, as in a file that is in no order of hosts.
        rows = [row for one_each in zip(*by_host.values(), strict=True) for row in one_each]
        tenant = rig.tenant()
        batch_id = rig.post(tenant, rows)
        rig.follow(tenant, batch_id, seconds=options.patience_seconds(0) + 600)
        ends = rig.ends(batch_id)
    kinds_here = sorted({end.ref for end in ends})
    return {
        "name": "with 20 dead and 10 slow" if with_bad else "170 healthy alone",
        "seconds": {kind: last(of_kind(ends, kind)) for kind in kinds_here},
        "ends": {kind: summed(of_kind(ends, kind)) for kind in kinds_here},
        "lost": sum(end.second is None for end in ends),
        "curve": curve(of_kind(ends, "healthy")),
    }


def spoil(rig: Rig, name: str, rows: Sequence[Row], closed: int) -> None:
    """Makes a host what the `ref` of its rows says."""
    control = rig.sandbox.control
    match rows[0].ref:
        case "refuses":
            for row in rows:
                endpoint = f"http://localhost:{closed}"
                control.put_document(row.account.did, did_document(row.account.did, row.account.handle, endpoint))
        case "silent":
            control.order(Delay(host=name, after=SILENT_SECONDS))
        case "status 500":
            control.order(Status(host=name, status=500))
        case "slow":
            control.login_delay(SLOW_SECONDS, host=name)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses: taken, so that nobody else listens there, and not listening."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def measure_latency(options: Options) -> list[Result]:
    with running_rig(workers=2, scale=options.scale) as rig:
        tenant, bulk = rig.tenant(), rig.tenant()
        rows = rig.rows(options.rows)
        # Half as long as the batch, before and after it.
        half = int(CALLS_PER_SECOND * options.ideal_seconds(options.rows) / 2)
        callers = iter(rig.rows(4 * half + int(CALLS_PER_SECOND * options.patience_seconds(options.rows))))
        call_for(rig, tenant, callers, lambda number: number >= 20)  # threads start and connections are opened
        idle = call_for(rig, tenant, callers, lambda number: number >= half)
        batch_id = rig.post(bulk, rows)
        busy = call_for(rig, tenant, callers, lambda number: number % 3 == 0 and rig.unfinished(batch_id) == 0)
        idle += call_for(rig, tenant, callers, lambda number: number >= half)
        ends = rig.ends(batch_id)
    return [
        {"name": "idle", **latency(idle)},
        {"name": "while a batch runs", **latency(busy), "batch_seconds": last(ends), "ends": summed(ends)},
    ]


def call_for(rig: Rig, tenant: Any, callers: Iterator[Row], is_over: Callable[[int], bool]) -> list[tuple[int, float]]:
    """Status and seconds of one synchronous connect after the other, so many a second and each at its time."""
    answers: list[tuple[int, float]] = []
    threads = []
    started = time.monotonic()

    def call(row: Row) -> None:
        began = time.monotonic()
        with rig.client(tenant) as client:
            status = client.post(
                "/v1/accounts/connect", json=body(row.identifier, row.account.app_password)
            ).status_code
        answers.append((status, time.monotonic() - began))

    for number, row in enumerate(callers):
        if is_over(number):
            break
        time.sleep(max(0.0, started + number / CALLS_PER_SECOND - time.monotonic()))
        thread = threading.Thread(target=call, args=(row,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return answers


def latency(answers: Sequence[tuple[int, float]]) -> Result:
    seconds = [taken for _, taken in answers]
    percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
    statuses = [status for status, _ in answers]
    return {
        "calls": len(answers),
        "p50_ms": 1000 * percentiles[49],
        "p99_ms": 1000 * percentiles[98],
        "statuses": {str(status): statuses.count(status) for status in sorted(set(statuses))},
        "percentiles_ms": [1000 * value for value in percentiles],
    }


def measure_fairness(options: Options) -> list[Result]:
    """The large batch is under way when the small one comes, and its end is not waited for."""
    results = []
    with running_rig(workers=2, scale=options.scale) as rig:
        timed_batch(rig, options)  # for warming up
        results.append(("100 alone", timed_batch(rig, options)))
        rig.post(rig.tenant(), rig.rows(options.rows))
        time.sleep(HEAD_START_SECONDS)
        results.append((f"100 behind {options.rows:,}", timed_batch(rig, options)))
    return [
        {"name": name, "seconds": last(ends), "median_second": median(ends), "ends": summed(ends)}
        for name, ends in results
    ]


def timed_batch(rig: Rig, options: Options) -> list[End]:
    """A hundred rows of a workspace of their own."""
    tenant = rig.tenant()
    batch_id = rig.post(tenant, rig.rows(SMALL_BATCH))
    rig.follow(tenant, batch_id, seconds=options.patience_seconds(SMALL_BATCH))
    return rig.ends(batch_id)


def of_kind(ends: Sequence[End], ref: str) -> list[End]:
    return [end for end in ends if end.ref == ref]


def instants(ends: Sequence[End]) -> list[float]:
    return sorted(end.second for end in ends if end.second is not None)


def last(ends: Sequence[End]) -> float:
    """When the last of those that have ended did; 0 when none has."""
    return max(instants(ends), default=0.0)


def median(ends: Sequence[End]) -> float:
    return statistics.median(instants(ends) or [0.0])


def longest_stall(ends: Sequence[End]) -> float:
    """The longest time in which no row ended."""
    return max((later - earlier for earlier, later in pairwise([0.0, *instants(ends)])), default=0.0)


def curve(ends: Sequence[End]) -> list[float]:
    """The seconds at which 0, 1, …, 100 percent of the rows that have ended had."""
    when = [0.0, *instants(ends)]
    return [when[round(at * (len(when) - 1) / (CURVE_POINTS - 1))] for at in range(CURVE_POINTS)]


SECTIONS: dict[str, Callable[[Options], list[Result]]] = {
    "workers": measure_workers,
    "hosts": measure_hosts,
    "latency": measure_latency,
    "fairness": measure_fairness,
}


if __name__ == "__main__":
    main()
