"""What a run of the dispatcher takes of Postgres, by open batches and lanes: `python -m bench.dispatcher`, two minutes.

Writes docs/bench/dispatcher.json. In each lane 600 rows are due, more than are counted.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.kept import keep
from bench.tables.rows import Size, batch_id, fill, lane
from connections.db import Database
from connections.dispatching import Dispatching
from connections.migrate import upgrade
from tests.servers import running_postgres

# Open batches, and lanes of each.
SIZES = ((20, 1), (100, 1), (500, 1), (100, 5))
DUE = 600

# Of so many batches at once, so many rows.
PICKS = (20, 100)
ROWS = (1, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    with running_postgres() as postgres:
        results = []
        for batches, lanes in SIZES:
            url = postgres.create(f"open_{batches}_{lanes}")
            upgrade(url)
            database = Database(url, transaction_seconds=600)
            results.append(measure(database, batches, lanes, rounds))
            database.close()
    show(results)
    keep("dispatcher", {"rounds": rounds, "due_in_each_lane": DUE, "runs": results})


def measure(database: Database, batches: int, lanes: int, rounds: int) -> dict[str, Any]:
    waiting = batches * lanes * DUE
    fill(
        database,
        Size(workspaces=1, accounts=0, ended=0, queued=0, waiting=waiting, batches=batches, lanes=lanes),
    )
    dispatching = Dispatching(database)
    result: dict[str, Any] = {"batches": batches, "lanes": lanes, "look_ms": least_ms(dispatching.look, rounds)}
    for picks in (picks for picks in PICKS if picks <= batches):
        for rows in ROWS:
            chunks = [[(batch_id(number), lane(0), rows)] for number in range(picks)]
            result[f"take_{picks}x{rows}_ms"] = take_ms(dispatching, chunks, rounds)
    return result


def take_ms(dispatching: Dispatching, chunks: list[list[tuple[str, str, int]]], rounds: int) -> float:
    taken: list[str] = []

    def take() -> None:
        taken[:] = [task_id for message in dispatching.take(chunks) for task_id in message]

    return least_ms(take, rounds, afterwards=lambda: dispatching.give_back(taken))


def least_ms(call: Callable[[], object], rounds: int, *, afterwards: Callable[[], object] = lambda: None) -> float:
    """What else runs on the machine only adds, so the least of all rounds says most."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
        afterwards()
    return 1000 * min(seconds)


def show(results: list[dict[str, Any]]) -> None:
    table = Table(title="A run of the dispatcher on Postgres, least ms")
    titles = [*dict.fromkeys(title for result in results for title in result)]
    for title in titles:
        table.add_column(title.replace("_", " "), justify="right")
    for result in results:
        table.add_row(*(f"{result[title]:.4g}" if title in result else "" for title in titles))
    Console().print(table)


if __name__ == "__main__":
    main()
