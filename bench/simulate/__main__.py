"""The service at the size of a large customer, simulated: `python -m bench.simulate`, a quarter of an hour on one core.

Prints what docs/scale.md tells of and writes docs/bench/simulate.json and .png. Five sections:

designs      twenty minutes of the dispatcher as it is, and of one that plans for the budgets of all addresses
addresses    each design with 1 to 50 addresses
workers      fewer workers at each address
batches      how many open batches one run of the dispatcher can look at
whole        five million rows to their end, with messages sent to the address that they were planned for

`--quick` takes seconds, shows much the same and writes nothing.
"""

import argparse
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from bench.simulate.report import keep_and_draw, show
from bench.simulate.run import Simulation
from bench.simulate.world import Design, Scenario

ADDRESSES = (1, 2, 5, 10, 25, 50)
WORKERS = (1, 2)
BATCHES = (100, 1000, 2000, 4000)

Section = list[dict[str, Any]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, and nothing is written")
    given = parser.parse_args(arguments)
    sections = simulate(quick() if given.quick else Scenario(rows=given.rows, seed=given.seed))
    show(sections)
    if not given.quick:
        keep_and_draw(sections)


def quick(seed: int = 1) -> Scenario:
    """Small enough for a test."""
    return Scenario(
        rows=3_000, workspaces=8, addresses=4, workers_at_address=2, callers=2.0, small=2, small_rows=20,
        small_after=60.0, seed=seed,
    )  # fmt: skip


def simulate(whole: Scenario) -> Mapping[str, Section]:
    """All sections, at the size of `whole`."""
    share = min(1.0, whole.addresses / 50)
    steady = replace(whole, seconds=400.0)
    return {
        "designs": [run(replace(whole, design=design, seconds=1200.0)) for design in (Design.OWN, Design.POOLED)],
        "addresses": [
            run(at(steady, addresses, design))
            for design in Design
            for addresses in ADDRESSES
            if addresses <= whole.addresses
        ],
        "workers": [run(replace(steady, workers_at_address=number, design=Design.ADDRESSED)) for number in WORKERS],
        "batches": [
            run(replace(steady, batches=max(1, round(number * share)), design=Design.ADDRESSED)) for number in BATCHES
        ],
        "whole": [run(replace(whole, design=Design.ADDRESSED))],
    }


def at(scenario: Scenario, addresses: int, design: Design) -> Scenario:
    """With as many callers for each address."""
    callers = scenario.callers * addresses / scenario.addresses
    return replace(scenario, addresses=addresses, design=design, callers=callers)


def run(scenario: Scenario) -> dict[str, Any]:
    started = time.process_time()
    result = Simulation(scenario).run()
    return {**result, "cpu_seconds": time.process_time() - started}


if __name__ == "__main__":
    # Circuits that open are part of it, thousands of times.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    main()
