"""Keeps, prints and draws what `bench.pacing` has measured, one section after the other."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent.parent / "docs" / "bench"
_JSON, _PNG = RESULTS / "pacing.json", RESULTS / "pacing.png"

# Only drawn: a table has no use for a hundred numbers.
_CURVES = frozenset({"curve", "percentiles_ms"})

Section = Mapping[str, Any]


def keep(name: str, section: Section) -> None:
    """Adds a section to those of earlier runs, or takes the place of the one with this name."""
    sections: dict[str, Section] = json.loads(_JSON.read_text()) if _JSON.exists() else {}
    sections[name] = json.loads(json.dumps(section), parse_float=lambda text: round(float(text), 3))
    RESULTS.mkdir(parents=True, exist_ok=True)
    _JSON.write_text(json.dumps(sections, indent=2) + "\n")
    draw(sections, _PNG)


def show(name: str, section: Section) -> None:
    """A column for each run, a row for each number."""
    runs = section["runs"]
    table = Table(title=f"{name}: {section['rows']:,} rows, windows of {300 * section['scale']:g} s")
    table.add_column("")
    for run in runs:
        table.add_column(run["name"], justify="right")
    columns = [dict(_flat(run)) for run in runs]
    for title in dict.fromkeys(title for column in columns for title in column):
        table.add_row(title, *(column.get(title, "") for column in columns))
    Console().print(table)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        title = f"{prefix}{key.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from _flat(value, f"{title}: ")
        elif key not in _CURVES | {"name"}:
            yield title, f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def draw(sections: Mapping[str, Section], path: Path) -> None:
    """A panel for each section there is."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only after the backend is chosen

    figure, grid = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for axes, (name, draw_one) in zip(grid.flat, _PANELS.items(), strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        if name in sections:
            draw_one(axes, sections[name])
        else:
            axes.set_axis_off()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_workers(axes: Any, section: Section) -> None:
    for run in section["runs"]:
        ended = sum(run["ends"].values()) - run["lost"]
        (line,) = axes.step(run["curve"], _shares(run["curve"], ended), label=run["name"], linewidth=1.3)
        axes.plot([0, run["ideal_seconds"]], [0, section["rows"]], ":", color=line.get_color(), linewidth=0.9)
    axes.set(title="One host: rows that have ended", xlabel="seconds; dotted: the host's limit", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)


def _draw_hosts(axes: Any, section: Section) -> None:
    for run in section["runs"]:
        axes.step(run["curve"], _shares(run["curve"], 100), label=run["name"], linewidth=1.3)
    axes.set(title="170 healthy hosts: % of rows ended", xlabel="seconds", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_latency(axes: Any, section: Section) -> None:
    for run in section["runs"]:
        percentiles = run["percentiles_ms"]
        axes.plot(percentiles, range(1, len(percentiles) + 1), label=run["name"], linewidth=1.3)
    axes.set(title="Synchronous connects: % answered", xlabel="ms", ylim=(0, 100))
    axes.set_xlim(0, None)
    axes.legend(frameon=False, fontsize=8, loc="lower right")


def _draw_fairness(axes: Any, section: Section) -> None:
    runs = section["runs"]
    names = [run["name"] for run in runs]
    bars = axes.barh(names, [run["seconds"] for run in runs], height=0.5, color="#1f6feb")
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set(title="Two workspaces: until the last row has ended", xlabel="seconds")


def _shares(curve: list[float], whole: float) -> list[float]:
    return [whole * at / (len(curve) - 1) for at in range(len(curve))]


_PANELS: Mapping[str, Callable[[Any, Section], None]] = {
    "workers": _draw_workers,
    "hosts": _draw_hosts,
    "latency": _draw_latency,
    "fairness": _draw_fairness,
}
