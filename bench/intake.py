"""What taking in 10,000 rows costs, in each format and on each database: `python -m bench.intake`.

Each case runs in a process of its own, whose memory is looked at every 5 ms. Writes docs/bench/intake.json and .png.
"""

import argparse
import csv
import io
import json
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import structlog
from rich.console import Console
from rich.table import Table

from bench.prune import new_database
from connections.bulk.intake import BatchFormat, BatchIntake, Delivery
from connections.db import Database
from connections.settings import Environment, Settings
from connections.vault import Sealer, WorkerKeys
from tests.factories import make_tenant

DATABASES = ("sqlite", "postgres")
PIECE_BYTES = 64 * 1024
FOLDER = Path(__file__).parent.parent / "docs" / "bench"

Case = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    cases = []
    for name in DATABASES:
        with new_database(name) as url:
            cases += [{"database": name} | elsewhere(measure, url, format_, options.rows) for format_ in BatchFormat]
    report(cases, options.rows)


def elsewhere(function: Callable[..., Case], *arguments: object) -> Case:
    """The result of a call in a new process, whose memory nothing else has touched."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def measure(url: str, format_: BatchFormat, rows: int) -> Case:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    database = Database(url)
    tenant = make_tenant(database)
    intake = BatchIntake(database, Sealer(WorkerKeys.generate(Environment.DEVELOPMENT).for_shim()), Settings())
    with tempfile.TemporaryFile() as file:
        for piece in WRITERS[format_](rows):
            file.write(piece)
        size = file.tell()
        warm = Delivery(format_, list(WRITERS[format_](500)))
        intake.accept(tenant.caller, warm, request_id="req_warm")
        file.seek(0)
        process = psutil.Process()
        before = process.memory_info().rss
        started, used = time.perf_counter(), time.process_time()
        with peak_memory(process) as peak:
            pieces = iter(lambda: file.read(PIECE_BYTES), b"")
            accepted = intake.accept(tenant.caller, Delivery(format_, pieces), request_id="req_1", idempotency_key="k")
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
    assert (accepted.batch.total, accepted.batch.rejected) == (rows, [])
    database.close()
    return {
        "format": str(format_),
        "body_mb": round(size / 1e6, 2),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "rss_before_mb": round(before / 1e6, 1),
        "rss_peak_mb": round(max(peak) / 1e6, 1),
    }


@contextmanager
def peak_memory(process: psutil.Process) -> Iterator[list[int]]:
    """Samples of the resident memory, in bytes."""
    samples, is_over = [process.memory_info().rss], threading.Event()

    def sample() -> None:
        while not is_over.wait(0.005):
            samples.append(process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def sent_rows(rows: int) -> Iterator[dict[str, str]]:
    for n in range(rows):
        yield {"handle": f"user{n}.bsky.social", "app_password": "abcd-efgh-2345-wxyz", "external_ref": f"customer-{n}"}


def as_csv(rows: int) -> Iterator[bytes]:
    file = io.StringIO()
    writer = csv.DictWriter(file, ["handle", "app_password", "external_ref"])
    writer.writeheader()
    writer.writerows(sent_rows(rows))
    yield file.getvalue().encode()


def as_ndjson(rows: int) -> Iterator[bytes]:
    yield from (json.dumps(row).encode() + b"\n" for row in sent_rows(rows))


def as_json(rows: int) -> Iterator[bytes]:
    yield json.dumps({"platform": "bluesky", "items": list(sent_rows(rows))}).encode()


WRITERS = {BatchFormat.CSV: as_csv, BatchFormat.NDJSON: as_ndjson, BatchFormat.JSON: as_json}


def report(cases: list[Case], rows: int) -> None:
    table = Table(*(name.replace("_", " ") for name in cases[0]))
    for case in cases:
        table.add_row(*map(str, case.values()))
    Console().print(table)
    FOLDER.joinpath("intake.json").write_text(json.dumps({"rows": rows, "cases": cases}, indent=2) + "\n")
    plot(cases, rows)


def plot(cases: list[Case], rows: int) -> None:
    import matplotlib as mpl  # noqa: PLC0415  slow, and not for the measuring processes

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    labels = [f"{case['database']}\n{case['format']}" for case in cases]
    figure, (time_axes, memory_axes) = plt.subplots(1, 2, figsize=(11, 4))
    time_axes.bar(labels, [case["seconds"] for case in cases], color="#9cc3e6", label="wall clock")
    time_axes.bar(labels, [case["cpu_seconds"] for case in cases], width=0.4, color="#1f4e79", label="CPU")
    time_axes.axhline(3, color="#c00000", linestyle=":", label="allowed")
    time_axes.set(title=f"Accepting {rows:,} rows", ylabel="seconds")
    memory_axes.bar(labels, [case["rss_peak_mb"] for case in cases], color="#9cc3e6", label="peak")
    memory_axes.bar(labels, [case["rss_before_mb"] for case in cases], width=0.4, color="#1f4e79", label="before")
    memory_axes.set(title="Resident memory of the process", ylabel="MB")
    for axes in (time_axes, memory_axes):
        axes.legend()
    figure.tight_layout()
    figure.savefig(FOLDER / "intake.png", dpi=110)


if __name__ == "__main__":
    main()
