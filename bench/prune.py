"""What pruning costs those who are served meanwhile: `python -m bench.prune`.

Accepts, claims and ends tasks on a table with 200,000 old ones, in turns without and with a pruner in another process.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from connections.contract import TaskStatus
from connections.db import Database
from connections.migrate import upgrade
from connections.models import connect_tasks
from connections.repository import attempts, tasks
from connections.repository.retention import retentions
from tests.integration.connections.rows import Size, digest, fill
from tests.servers import running_postgres
from worker.prune import Pruner

CALLERS = 4
QUIET_SECONDS = 8.0
KEPT_SECONDS = 86400.0
# The last of sixty tasks ended 59 days ago; it is the pattern of the old ones.
SIZE = Size(workspaces=1, profiles=1, api_keys=0, accounts=0, tasks=60, open_tasks=1, idempotency_keys=0)
PATTERN = "ct_59"

_numbers = count()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="old tasks")
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgres"])
    options = parser.parse_args()
    table = Table("database", "step", "p50 ms without", "with", "p99 ms without", "with", "ratio of p99")
    for name in options.databases:
        with new_database(name) as url:
            database = Database(url)
            grow(url, options.rows)
            without, during, seconds = in_turns(database, url)
            database.close()
        for step in without:
            low, high = quantiles(without[step]), quantiles(during[step])
            table.add_row(
                name, step, *(f"{ms:.1f}" for ms in (low[0], high[0], low[1], high[1])), f"{high[1] / low[1]:.2f}"
            )
        table.add_section()
        Console().print(f"{name}: {options.rows / seconds:,.0f} rows a second of pruning")
    Console().print(table)


@contextmanager
def new_database(name: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as directory:
        if name == "sqlite":
            url = f"sqlite:///{Path(directory) / 'connector.db'}"
            upgrade(url)
            yield url
        else:
            with running_postgres() as postgres:
                url = postgres.create("bench")
                upgrade(url)
                yield url


def grow(url: str, rows: int) -> None:
    """Copies one old task `rows` times."""
    database = Database(url, transaction_seconds=600)
    with database.write() as connection:
        fill(connection, SIZE)
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        names = [column.name for column in connect_tasks.columns if column.name != "id"]
        copy = f"""
            INSERT INTO connect_tasks (id, {", ".join(names)})
            WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :rows)
            SELECT 'old_' || n, {", ".join(names)} FROM connect_tasks, series WHERE id = '{PATTERN}'
        """
        connection.execute(text(copy), {"rows": rows})
    database.close()


Times = dict[str, list[float]]


def in_turns(database: Database, url: str) -> tuple[Times, Times, float]:
    """Milliseconds of each step without and with pruning, and the seconds pruning took, until no old task is left."""
    without, during = no_times(), no_times()
    pruning = 0.0
    with pruner_elsewhere(url) as prune:
        while has_old(database):
            serve(database, without, lambda: time.sleep(QUIET_SECONDS))
            started = time.perf_counter()
            serve(database, during, prune)
            pruning += time.perf_counter() - started
    return without, during, pruning


def no_times() -> Times:
    return {"insert": [], "claim": [], "finish": []}


def has_old(database: Database) -> bool:
    with database.read() as connection:
        return connection.execute(text("SELECT 1 FROM connect_tasks WHERE id LIKE 'old%' LIMIT 1")).first() is not None


def serve(database: Database, times: Times, meanwhile: Callable[[], None]) -> None:
    """Callers come one after the other in each thread until `meanwhile` is over."""
    is_over = threading.Event()
    with ThreadPoolExecutor(CALLERS) as callers:
        done = [callers.submit(call, database, times, is_over) for _ in range(CALLERS)]
        meanwhile()
        is_over.set()
    for one in done:
        one.result()


def call(database: Database, times: Times, is_over: threading.Event) -> None:
    while not is_over.wait(0.01):
        number = next(_numbers)
        task_id = f"new_{number}"
        with timed(times["insert"]), database.write() as connection:
            tasks.insert_task(
                connection,
                task_id=task_id,
                workspace_id="ws_0",
                profile_id="pr_0",
                platform="bluesky",
                queue="connect",
                request_id="req_1",
                sealed_credentials=b"key1." + bytes(200),
                fingerprint=digest(-number),
                reply_to=None,
                caller_waits=None,
                max_attempts=5,
                expires_in=60,
                sweep_in=10,
                key_id="key_0",
            )
        with timed(times["claim"]), database.write() as connection:
            attempts.claim_tasks(connection, [task_id], lease=30, sweep_in=31)
        with timed(times["finish"]), database.write() as connection:
            attempts.finish_task(connection, task_id, fence=1, status=TaskStatus.FAILED, outcome={"error": None})


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    times.append((time.perf_counter() - started) * 1000)


@contextmanager
def pruner_elsewhere(url: str) -> Iterator[Callable[[], None]]:
    """A call makes a run, as beat does, in a process that is started already."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=prune_when_told, args=(url, there))
    process.start()
    here.recv()

    def prune() -> None:
        here.send(True)
        here.recv()

    yield prune
    here.send(False)
    process.join()


def prune_when_told(url: str, pipe: Connection) -> None:
    database = Database(url)
    kinds = retentions(task_seconds=KEPT_SECONDS, audit_seconds=365 * 86_400.0)
    pruner = Pruner(database, kinds, is_stopping=lambda: False, pause=time.sleep)
    pipe.send(None)
    while pipe.recv():
        pruner.prune()
        pipe.send(None)
    database.close()


def quantiles(times: list[float]) -> tuple[float, float]:
    """The 50th and the 99th percentile."""
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()
