"""Where benchmarks keep what they have measured: docs/bench/<name>.json with the packages' versions, and a plot."""

import json
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl

FOLDER = Path(__file__).parent.parent / "docs" / "bench"

_PACKAGES = ("celery", "fastapi", "httpx", "psycopg", "redis", "sqlalchemy", "uvicorn")


def keep(name: str, results: dict[str, Any]) -> None:
    """Writes the results, rounded to three digits behind the point."""
    packages = {package: version(package) for package in _PACKAGES}
    rounded = json.loads(json.dumps(results), parse_float=lambda text: round(float(text), 3))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"packages": packages, **rounded}, indent=2) + "\n")


def new_figure(panels: int, *, width: float = 9.0, height: float = 3.4) -> tuple[Any, list[Any]]:
    """A figure and its panels, side by side."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only after the backend is chosen

    figure, grid = plt.subplots(1, panels, figsize=(width, height), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, list(grid.flat)


def draw(name: str, figure: Any) -> None:
    figure.savefig(FOLDER / f"{name}.png", dpi=130)


def percentile(values: Sequence[float], hundredth: int) -> float:
    return statistics.quantiles(values, n=100)[hundredth - 1]
