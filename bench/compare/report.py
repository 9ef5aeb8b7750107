"""The table for people and the numbers for files."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.compare.job import SLOTS
from bench.compare.summary import Added, Summary

PACKAGES = (
    *("arq", "celery", "dramatiq", "fastapi", "hiredis", "httpx", "huey", "procrastinate", "psycopg", "redis", "saq"),
    *("sqlalchemy", "uvicorn", "uvloop"),
)

_NO_TERMINAL_WIDTH = 190


def show(title: str, summaries: Sequence[Summary]) -> None:
    table = Table(title=title)
    for name in ("", "promises: durable", "again", "keeps"):
        table.add_column(name, no_wrap=not name)
    for name in ("connects/s", "CPU ms", "API", "worker", "beside", "peak MB"):
        table.add_column(name, justify="right")
    for callers in ("1 caller", f"{SLOTS} callers"):
        table.add_column(f"added ms, {callers}: p50 · p99", justify="right")
    for before, one in zip([None, *summaries], summaries, strict=False):
        if before is not None and before.contender.family != one.contender.family:
            table.add_section()
        table.add_row(*_row(one))
    console = Console()
    if not console.is_terminal:
        console.width = _NO_TERMINAL_WIDTH
    console.print(table)


def _row(one: Summary) -> list[str]:
    promises = one.contender.promises
    return [
        one.contender.name,
        *(promises.durable, promises.again, promises.keeps),
        f"{one.per_second:.0f}",
        f"{one.total_cpu:.2f}",
        *(f"{one.cpu[part]:.2f}" if part in one.cpu else "" for part in ("API", "worker")),
        f"{sum(one.beside.values()):.2f}",
        f"{one.peak_mb:.0f}",
        *map(_times, (one.alone, one.together)),
    ]


def _times(added: Added | None) -> str:
    return "" if added is None else f"{added.p50:.1f} · {added.p99:.1f}"


def versions() -> dict[str, str]:
    """Of everything that the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def as_json(one: Summary) -> dict[str, Any]:
    """Milliseconds, megabytes, and connects per second, with two decimals."""
    return {
        "name": one.contender.name,
        "family": one.contender.family,
        **asdict(one.contender.promises),
        "per_second": round(one.per_second, 2),
        "cpu_ms": {**_rounded(one.cpu), "total": round(one.total_cpu, 2)},
        "beside_cpu_ms": _rounded(one.beside),
        "peak_mb": round(one.peak_mb, 1),
        "added_ms_alone": None if one.alone is None else _rounded(asdict(one.alone)),
        "added_ms_together": None if one.together is None else _rounded(asdict(one.together)),
    }


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}
