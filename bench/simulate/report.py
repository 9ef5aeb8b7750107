"""Prints, keeps and draws what was simulated."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.kept import draw, keep, new_figure

Run = Mapping[str, Any]
Sections = Mapping[str, Sequence[Run]]

_COLORS = {"own": "#c00000", "pooled": "#f0883e", "addressed": "#1f6feb"}


def show(sections: Sections) -> None:
    for name, runs in sections.items():
        table = Table(title=name)
        columns = [_figures(run) for run in runs]
        table.add_column("")
        for run in runs:
            table.add_column(
                f"{run['design']}\n{run['addresses']} addresses\n{run['workers']} workers", justify="right"
            )
        for title in columns[0]:
            table.add_row(title, *(column.get(title, "") for column in columns))
        Console(width=None if Console().is_terminal else 200).print(table)


def _figures(run: Run) -> dict[str, str]:
    small, callers = run["small_seconds"] or {}, run["callers_ms"]
    return {
        "open batches": str(run["batches"]),
        "rows/s": f"{run['rows_per_second']:.1f} of {run['allowed_per_second']:.0f}",
        "hours until all rows are done": f"{run['hours']:.2f}{'' if run['is_finished'] else ' (projected)'}",
        "hours until 99 %": f"{run['hours_99']:.2f}" if run["hours_99"] else "",
        "budget used, %: least, mean, most": " ".join(f"{100 * share:.1f}" for share in run["used"].values()),
        "most requests in any 300 s": f"{run['most_in_a_window']:,}",
        "Jain's index of workspaces": f"{run['fairness']:.4f}",
        "small workspace, s: median, last": " ".join(f"{second:.1f}" for second in small.values()),
        "callers wait, ms: p50, p99, most": " ".join(f"{one:.1f}" for one in callers.values()),
        "turns of the dispatcher/s; s each": f"{run['turns_per_second']:.2f}; {run['turn_seconds']:.3f}",
        "rows back for want of budget, of 100": f"{run['came_back_per_100']:.2f}",
        "messages/s": f"{run['messages_per_second']['all']:.0f}",
        "Redis commands/s": _parts(run["redis_per_second"]),
        "statements/s": _parts(run["statements_per_second"]),
        "commits/s": _parts(run["commits_per_second"]),
        "cores": ", ".join(f"{part} {cores:.2f}" for part, cores in run["cores"].items()),
        "CPU s of the simulation": f"{run['cpu_seconds']:.0f}",
    }


def _parts(counts: Mapping[str, float]) -> str:
    """All of them, and the kinds of which there are many."""
    parts = [f"{name} {count:.0f}" for name, count in counts.items() if name != "all" and count >= 0.5]
    return "\n".join([f"{counts['all']:.0f}", *parts])


def keep_and_draw(sections: Sections) -> None:
    keep("simulate", {name: [_kept(run, name) for run in runs] for name, runs in sections.items()})
    figure, (addresses, batches, rows) = new_figure(3, width=13.0, height=3.8)
    _draw_addresses(addresses, sections["addresses"])
    _draw_batches(batches, sections["batches"])
    _draw_rows(rows, [*sections["designs"], *sections["whole"]])
    draw("simulate", figure)


def _kept(run: Run, section: str) -> Run:
    """Each address and each moment are only worth keeping where one run is looked at closely."""
    is_close = section in ("designs", "whole")
    return {title: value for title, value in run.items() if is_close or title not in ("curve", "used_by_address")}


def _draw_addresses(axes: Any, runs: Sequence[Run]) -> None:
    for design, color in _COLORS.items():
        mine = [run for run in runs if run["design"] == design]
        rates = [run["used"]["mean"] * run["allowed_per_second"] for run in mine]
        axes.plot([run["addresses"] for run in mine], rates, marker="o", label=design, color=color)
    largest = max(runs, key=lambda run: run["addresses"])
    axes.plot([0, largest["addresses"]], [0, largest["allowed_per_second"]], "k:", linewidth=0.9, label="allowed")
    axes.set(title="Requests a second to the hosted service", xlabel="egress addresses", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)


def _draw_batches(axes: Any, runs: Sequence[Run]) -> None:
    rates = [run["used"]["mean"] * run["allowed_per_second"] for run in runs]
    axes.plot([run["batches"] for run in runs], rates, marker="o", color="#1f6feb")
    axes.axhline(runs[0]["allowed_per_second"], color="k", linestyle=":", linewidth=0.9)
    for run, rate in zip(runs, rates, strict=True):
        note = f"{run['turn_seconds']:.1f} s"
        place = (run["batches"], rate)
        axes.annotate(note, place, xytext=(4, -11), textcoords="offset points", fontsize=7)
    axes.set(
        title="The same, and what a run of the dispatcher takes", xlabel="open batches", xlim=(0, None), ylim=(0, None)
    )


def _draw_rows(axes: Any, runs: Sequence[Run]) -> None:
    for run in runs:
        color = _COLORS[run["design"]]
        seconds, connected = zip(*run["curve"], strict=True)
        label = f"{run['design']}, to the end" if run["is_finished"] else f"{run['design']}, twenty minutes"
        style = "-" if run["is_finished"] else "--"
        axes.plot(
            [second / 3600 for second in seconds], [rows / 1e6 for rows in connected], style, color=color, label=label
        )
    axes.set(title="Million rows connected", xlabel="hours", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
