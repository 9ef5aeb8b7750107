"""Prints, keeps and draws what callers met."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from bench.kept import draw, keep, new_figure
from bench.overload.summary import Load

_COLORS = ("#1f6feb", "#8b949e")


def report(loads: Sequence[Load], capacity: float) -> None:
    table = Table(title=f"Callers who wait, at a service that can serve {capacity:g} a second")
    table.add_column("", no_wrap=True)
    for title in ("load", "came/s", "201/s", "503/s", "504/s", "201: p50 · p99 s", "503: p99 s"):
        table.add_column(title, justify="right")
    for one in loads:
        table.add_row(
            one.name,
            f"{one.load:g}",
            f"{one.came:.0f}",
            f"{one.connected:.1f}",
            f"{one.turned_away:.1f}",
            f"{one.timed_out:.1f}",
            f"{one.p50_seconds:.1f} · {one.p99_seconds:.1f}",
            f"{one.refusal_p99_seconds:.2f}" if one.refusal_p99_seconds else "",
        )
    Console().print(table)
    keep("overload", {"capacity": capacity, "loads": [asdict(one) for one in loads]})
    _draw(loads, capacity)


def _draw(loads: Sequence[Load], capacity: float) -> None:
    figure, (goodput, waits) = new_figure(2)
    for name, color in zip(dict.fromkeys(one.name for one in loads), _COLORS, strict=True):
        mine = [one for one in loads if one.name == name]
        offered = [one.load for one in mine]
        goodput.plot(offered, [one.connected for one in mine], marker="o", color=color, label=name)
        waits.plot(offered, [one.p50_seconds for one in mine], marker="o", color=color, label=name)
    goodput.axhline(capacity, color="#c00000", linestyle=":", label="capacity")
    goodput.set(title="Connected in time, a second", xlabel="times the capacity", ylim=(0, None))
    waits.set(title="Their wait, p50 in seconds", xlabel="times the capacity", ylim=(0, None))
    for axes in (goodput, waits):
        axes.legend(frameon=False, fontsize=8)
    draw("overload", figure)
