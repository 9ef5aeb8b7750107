"""Prints, keeps and draws what was measured on empty and on full tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.kept import FOLDER, draw, keep, new_figure
from bench.tables.plans import Plans


@dataclass(frozen=True, slots=True)
class Row:
    """One call on one database; times in milliseconds."""

    database: str
    call: str
    empty_p50: float
    full_p50: float
    empty_p99: float
    full_p99: float

    @property
    def ratio(self) -> float:
        return self.full_p50 / self.empty_p50


def report(about: Mapping[str, Any], rows: Sequence[Row], plans: Mapping[str, Mapping[str, Plans]]) -> None:
    """`about` says how it was measured; `plans` are those of the full tables, by database and call."""
    _show(rows, plans)
    measured = [asdict(row) | {"ratio_p50": row.ratio, "scans": plans[row.database][row.call].scans} for row in rows]
    keep("tables", {**about, "calls": measured})
    (FOLDER / "tables-explain.txt").write_text(_explained(plans))
    _draw(rows)


def _show(rows: Sequence[Row], plans: Mapping[str, Mapping[str, Plans]]) -> None:
    for database, of_database in plans.items():
        table = Table(title=f"{database}: milliseconds on empty and on full tables")
        for title in ("call", "p50 empty", "full", "ratio", "p99 empty", "full", "scans"):
            table.add_column(title, justify="left" if title in {"call", "scans"} else "right")
        for row in (row for row in rows if row.database == database):
            numbers = (row.empty_p50, row.full_p50, row.ratio, row.empty_p99, row.full_p99)
            table.add_row(row.call, *(f"{number:.2f}" for number in numbers), "\n".join(of_database[row.call].scans))
        Console().print(table)


def _explained(plans: Mapping[str, Mapping[str, Plans]]) -> str:
    lines = []
    for database, of_database in plans.items():
        for call, of_call in of_database.items():
            heading = f"{database}: {call}"
            lines += [heading, "=" * len(heading), *of_call.text, ""]
    return "\n".join(lines)


def _draw(rows: Sequence[Row]) -> None:
    databases = list(dict.fromkeys(row.database for row in rows))
    figure, panels = new_figure(len(databases), width=11, height=4.6)
    for axes, database in zip(panels, databases, strict=True):
        mine = [row for row in reversed(rows) if row.database == database]
        places = range(len(mine))
        for offset, size, color in ((0.2, "empty", "#b8c4d6"), (-0.2, "full", "#1f6feb")):
            axes.barh(
                [place + offset for place in places],
                [getattr(row, f"{size}_p50") for row in mine],
                xerr=[[0.0] * len(mine), [getattr(row, f"{size}_p99") - getattr(row, f"{size}_p50") for row in mine]],
                error_kw={"elinewidth": 0.7, "ecolor": "#57606a"},
                height=0.38,
                label=f"{size} tables",
                color=color,
            )
        axes.set_yticks(places, [row.call for row in mine], fontsize=8)
        axes.set(title=database, xlabel="ms: p50, the line to p99", xscale="log")
        axes.legend(frameon=False, fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.13))
    draw("tables", figure)
