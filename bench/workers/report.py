"""Prints, keeps and draws what was measured at worker processes."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench.kept import draw, keep, new_figure
from bench.workers.scale import LOGIN_SECONDS, Scaled
from bench.workers.starts import THREADS, Worker

# What the design allows.
READY_SECONDS = 3.0
RSS_MB = 130
OF_LINEAR = 0.9

_COLORS = {"sqlite": "#f0883e", "postgres": "#1f6feb"}


def report(workers: Sequence[Worker], scaled: Sequence[Scaled]) -> None:
    _show_workers(workers)
    _show_scaled(scaled)
    keep("workers", {"starts": [asdict(one) for one in workers], "scale": [asdict(one) for one in scaled]})
    _draw(workers, scaled)


def _show_workers(workers: Sequence[Worker]) -> None:
    table = Table(title=f"One worker with {THREADS} threads")
    table.add_column("")
    for one in workers:
        table.add_column(_title(one), justify="right")
    table.add_column("target", justify="right")
    table.add_row("seconds until ready", *(f"{one.ready_seconds:.2f}" for one in workers), f"≤ {READY_SECONDS:g}")
    table.add_row("CPU seconds until ready", *(f"{one.ready_cpu_seconds:.2f}" for one in workers))
    for place, connects in enumerate(workers[0].connects if workers else ()):
        title = f"MB after {connects:,} connects" if connects else "MB when ready"
        table.add_row(title, *(f"{one.rss_mb[place]:.0f}" for one in workers), f"≤ {RSS_MB}")
    table.add_row("connects/s", *(f"{one.connects_per_second:.0f}" for one in workers))
    table.add_row("CPU ms of the worker a connect", *(f"{one.cpu_ms_per_connect:.2f}" for one in workers))
    table.add_row("answers other than 201", *(str(one.refused) for one in workers), "0")
    Console().print(table)


def _title(worker: Worker) -> str:
    return f"{worker.database}, {'hosted' if worker.is_hosted else 'looked up'}"


def _show_scaled(scaled: Sequence[Scaled]) -> None:
    """Of linear scaling, and of the bound: what the threads could do if a login were all. CPU is in cores: of all
    processes of ours, of the workers among them, and of everything on the machine, which has no more than all its own.
    """
    for database in dict.fromkeys(one.database for one in scaled):
        table = Table(title=f"{database}: synchronous connects, login of {1000 * LOGIN_SECONDS:.0f} ms; CPU in cores")
        for title in ("procs", "threads", "rate", f"≥ {OF_LINEAR:.0%}", "bound", "p50 ms", "≠ 201"):
            table.add_column(title, justify="right")
        for title in ("ours", "procs", "all"):
            table.add_column(title, justify="right")
        for one in (one for one in scaled if one.database == database):
            table.add_row(
                str(one.workers),
                str(one.workers * one.threads),
                f"{one.connects_per_second:.1f}",
                f"{one.of_linear:.0%}",
                f"{one.of_threads:.0%}",
                f"{one.p50_ms:.0f}",
                str(one.refused),
                f"{one.cores:.2f}",
                f"{one.worker_cores:.2f}",
                f"{one.machine:.2f}",
            )
        Console().print(table)


def _draw(workers: Sequence[Worker], scaled: Sequence[Scaled]) -> None:
    figure, (memory, rates) = new_figure(2, width=10, height=3.8)
    for worker in workers:
        line, color = "-" if worker.is_hosted else "--", _COLORS[worker.database]
        memory.plot(worker.connects, worker.rss_mb, line, marker="o", label=_title(worker), color=color)
    memory.axhline(RSS_MB, color="#c00000", linestyle=":", label="allowed")
    memory.set(title=f"Memory of a worker with {THREADS} threads", xlabel="connects made", ylabel="MB")
    memory.set_ylim(0, 1.15 * max(RSS_MB, *(mb for one in workers for mb in one.rss_mb)))
    for database in dict.fromkeys(one.database for one in scaled):
        mine = [one for one in scaled if one.database == database]
        counts = [one.workers for one in mine]
        color, below = _COLORS[database], {"sqlite": -12, "postgres": -22}[database]
        rates.plot(counts, [one.connects_per_second for one in mine], marker="o", label=database, color=color)
        rates.plot(counts, [one.workers * mine[0].connects_per_second for one in mine], ":", color=color)
        for one in mine:
            place = (one.workers, one.connects_per_second)
            note = f"{one.cores:.1f} cores"
            rates.annotate(note, place, xytext=(4, below), textcoords="offset points", fontsize=7, color=color)
    rates.set(
        title=f"Connects per second, login of {1000 * LOGIN_SECONDS:.0f} ms",
        xlabel="workers; dotted: linear",
        ylim=(0, None),
        xticks=sorted({one.workers for one in scaled}),
    )
    for axes in (memory, rates):
        axes.legend(frameon=False, fontsize=8, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    draw("workers", figure)
