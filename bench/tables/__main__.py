"""A connect on full tables beside one on empty tables, in turns in one run: `python -m bench.tables`.

Full: a million tasks, 100,000 of them open, 10,000 workspaces, a million accounts. Writes docs/bench/tables.json and
.png, and what the databases say of their statements to docs/bench/tables-explain.txt. Takes about four minutes.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict

from bench.kept import percentile
from bench.prune import new_database
from bench.tables.calls import Bench
from bench.tables.plans import Plans, explained
from bench.tables.report import Row, report
from bench.tables.rows import EMPTY, FULL, SEED_SECONDS, fill
from connections.db import Database

SIZES = {"empty": EMPTY, "full": FULL}
WARM_UP = 5

Times = dict[str, dict[str, list[float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgres"])
    options = parser.parse_args()
    rows: list[Row] = []
    plans: dict[str, dict[str, Plans]] = {}
    seconds_to_fill: dict[str, float] = {}
    for name in options.databases:
        with ExitStack() as stack:
            databases, seconds_to_fill[name] = filled(name, stack)
            times = in_turns({size: Bench(database) for size, database in databases.items()}, options.rounds)
            plans[name] = plans_of(databases["full"])
        rows += [row_of(name, call, of_call) for call, of_call in times.items()]
    sizes = {size: asdict(of_size) for size, of_size in SIZES.items()}
    report({"rounds": options.rounds, "rows": sizes, "seconds_to_fill": seconds_to_fill}, rows, plans)


def filled(name: str, stack: ExitStack) -> tuple[dict[str, Database], float]:
    """An empty and a full database, and the seconds the full one took."""
    databases = {}
    started = time.perf_counter()
    for size, of_size in SIZES.items():
        url = stack.enter_context(new_database(name))
        patient = Database(url, transaction_seconds=SEED_SECONDS)
        started = time.perf_counter()
        fill(patient, of_size)
        patient.close()
        databases[size] = Database(url)
        stack.callback(databases[size].close)
    return databases, time.perf_counter() - started


def in_turns(benches: Mapping[str, Bench], rounds: int) -> Times:
    """Milliseconds by call and size. Who goes first changes with every round."""
    times: Times = defaultdict(lambda: defaultdict(list))
    for number in range(WARM_UP + rounds):
        order = sorted(benches, reverse=bool(number % 2))
        for calls in zip(*(benches[size].round() for size in order), strict=True):
            for size, (name, call) in zip(order, calls, strict=True):
                started = time.perf_counter()
                call()
                if number >= WARM_UP:
                    times[name][size].append(1000 * (time.perf_counter() - started))
    return times


def plans_of(database: Database) -> dict[str, Plans]:
    """By call."""
    plans = {}
    for name, call in Bench(database).round():
        with explained(database.engine) as plans[name]:
            call()
    return plans


def row_of(database: str, call: str, times: Mapping[str, list[float]]) -> Row:
    return Row(
        database=database,
        call=call,
        empty_p50=statistics.median(times["empty"]),
        full_p50=statistics.median(times["full"]),
        empty_p99=percentile(times["empty"], 99),
        full_p99=percentile(times["full"], 99),
    )


if __name__ == "__main__":
    main()
