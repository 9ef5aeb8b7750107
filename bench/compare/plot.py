"""The picture: CPU of a connect by process, and what is added to the upstream's time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.compare.job import SLOTS
from bench.compare.summary import Summary

# By part of the job; the floor's is done by the caller itself.
_COLORS = {"caller": "#8b949e", "API": "#1f6feb", "worker": "#f0883e"}
_ONE, _MANY = "#57ab5a", "#8250df"
_INCHES_A_ROW = 0.3
_SHORTEST_MS = 0.5  # the axis is logarithmic, and the floor adds nothing to itself


def draw(title: str, summaries: Sequence[Summary], target: float | None, path: Path) -> None:
    """`target` is in milliseconds of CPU a connect; None draws no line."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only after the backend is chosen

    size = (13, 1.6 + _INCHES_A_ROW * len(summaries))
    figure, (cpu, latency) = plt.subplots(1, 2, figsize=size, sharey=True, width_ratios=(3, 2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    _draw_cpu(cpu, summaries, target)
    _draw_latency(latency, summaries)
    cpu.set_ylim(len(summaries) - 0.4, -0.6)
    for axes in (cpu, latency):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8, ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.07))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_cpu(axes: Any, summaries: Sequence[Summary], target: float | None) -> None:
    names = [one.contender.name for one in summaries]
    left = [0.0] * len(summaries)
    for part, color in _COLORS.items():
        widths = [one.cpu.get(part, 0.0) for one in summaries]
        bars = axes.barh(names, widths, left=left, height=0.6, label=part, color=color)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    labels = axes.bar_label(bars, [f"{total:.2f}" for total in left], padding=3, fontsize=8, zorder=3)
    for label in labels:
        label.set_bbox({"color": "white", "pad": 0.5})  # the target's line may run through it
    if target is not None:
        axes.axvline(target, color="#cf222e", linewidth=1, linestyle="--", label=f"target, {target:.2f} ms")
    axes.set(title="CPU of the processes that do the job, ms a connect", xlim=(0, 1.1 * max(left)))
    axes.tick_params(axis="y", labelsize=8)


def _draw_latency(axes: Any, summaries: Sequence[Summary]) -> None:
    """Lines from p50 to p99; logarithmic, as they reach from one millisecond to a second."""
    for row, one in enumerate(summaries):
        for added, color, shift in ((one.alone, _ONE, -0.15), (one.together, _MANY, 0.15)):
            if added is not None:
                low, high = max(added.p50, _SHORTEST_MS), max(added.p99, _SHORTEST_MS)
                axes.plot([low, high], [row + shift] * 2, color=color, linewidth=1.5)
                axes.plot([low], [row + shift], "o", color=color, markersize=4)
                axes.plot([high], [row + shift], "|", color=color, markersize=7)
    for color, label in ((_ONE, "1 caller"), (_MANY, f"{SLOTS} callers")):
        axes.plot([], [], "o-", color=color, markersize=4, label=label)
    axes.set(title="Added to the upstream's time, ms: p50 (dot) to p99", xscale="log")
    axes.grid(axis="x", color="#d0d7de", linewidth=0.5)
    axes.xaxis.set_major_formatter("{x:g}")
