"""Prints, keeps and draws what was measured at one API process."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.kept import draw, keep, new_figure
from bench.waiting.accepting import Accepted
from bench.waiting.crowd import Waited

# What the design allows.
KB_PER_CALLER = 25
LAST_ANSWER_MS = 1000
PER_CORE = 400

_COLORS = {"sqlite": "#f0883e", "postgres": "#1f6feb"}


def report(waited: Sequence[Waited], accepted: Sequence[Accepted]) -> None:
    _show_waited(waited)
    _show_accepted(accepted)
    crowds = [{name: value for name, value in asdict(one).items() if name != "answer_ms"} for one in waited]
    keep("waiting", {"waiting": crowds, "accepting": [asdict(one) for one in accepted]})
    _draw(waited, accepted)


def _show_waited(waited: Sequence[Waited]) -> None:
    table = Table(title="Callers who wait at one API process")
    table.add_column("")
    for one in waited:
        table.add_column(one.database, justify="right")
    table.add_column("target", justify="right")
    for title, cells in (
        ("callers", [f"{one.callers:,}" for one in waited]),
        ("kB of memory a caller", [*(f"{one.kb_per_caller:.1f}" for one in waited), f"≤ {KB_PER_CALLER}"]),
        (
            "MB before · waiting · after",
            [f"{one.rss_mb_before:.0f} · {one.rss_mb_waiting:.0f} · {one.rss_mb_after:.0f}" for one in waited],
        ),
        ("subscriptions", [*(str(one.subscriptions) for one in waited), "1"]),
        ("CPU while all wait, % of a core", [f"{one.idle_cpu:.1f}" for one in waited]),
        ("released at once", [f"{one.released:,}" for one in waited]),
        ("until the last answer, ms", [*(f"{one.last_ms:.0f}" for one in waited), f"≤ {LAST_ANSWER_MS}"]),
        ("p50 · p99, ms", [f"{one.p50_ms:.0f} · {one.p99_ms:.0f}" for one in waited]),
        ("CPU ms an answer", [f"{one.cpu_ms_per_answer:.2f}" for one in waited]),
    ):
        table.add_row(title, *cells)
    Console().print(table)


def _show_accepted(accepted: Sequence[Accepted]) -> None:
    table = Table(title="Prefer: respond-async, one API process")
    for title in (
        "database",
        "connections",
        "requests/s",
        "CPU ms",
        f"per core (≥ {PER_CORE})",
        "cores",
        "p50 · p99 ms",
    ):
        table.add_column(title, justify="left" if title == "database" else "right")
    for one in accepted:
        table.add_row(
            one.database,
            str(one.connections),
            f"{one.requests_per_second:.0f}",
            f"{one.cpu_ms:.2f}",
            f"{one.per_core:.0f}",
            f"{one.cores:.2f}",
            f"{one.p50_ms:.0f} · {one.p99_ms:.0f}",
        )
    Console().print(table)


def _draw(waited: Sequence[Waited], accepted: Sequence[Accepted]) -> None:
    figure, (answers, memory, rates) = new_figure(3, width=12, height=3.6)
    for one in waited:
        shares = [100 * (place + 1) / one.released for place in range(one.released)]
        answers.plot(one.answer_ms, shares, label=one.database, color=_COLORS[one.database], linewidth=1.4)
    answers.axvline(LAST_ANSWER_MS, color="#c00000", linestyle=":", label="allowed")
    answers.set(
        title=f"{waited[0].released:,} of {waited[0].callers:,} released at once",
        xlabel="ms",
        ylabel="% answered",
        xlim=(0, None),
    )
    _bars(memory, waited, "kb_per_caller", KB_PER_CALLER)
    memory.set(title="Memory of a waiting caller", ylabel="kB")
    _lines(rates, accepted)
    rates.axhline(PER_CORE, color="#c00000", linestyle=":", label="wanted")
    rates.set(title="respond-async: requests/s per core", xlabel="connections", ylim=(0, None))
    for axes in (answers, memory, rates):
        axes.legend(frameon=False, fontsize=8, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    draw("waiting", figure)


def _bars(axes: Any, waited: Sequence[Waited], name: str, allowed: float) -> None:
    for one in waited:
        bars = axes.bar([one.database], [getattr(one, name)], width=0.5, color=_COLORS[one.database])
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    axes.axhline(allowed, color="#c00000", linestyle=":", label="allowed")


def _lines(axes: Any, accepted: Sequence[Accepted]) -> None:
    for database in dict.fromkeys(one.database for one in accepted):
        mine = [one for one in accepted if one.database == database]
        axes.plot(
            [str(one.connections) for one in mine],
            [one.per_core for one in mine],
            marker="o",
            label=database,
            color=_COLORS[database],
        )
