"""The outcome of an import, for people and for programs."""

from pathlib import Path

import orjson

from cli.importing.report import Report
from connections.contract import RowStatus

_WIDEST_MESSAGE = 72


def summary_lines(report: Report, results: Path) -> list[str]:
    before = report.statuses[RowStatus.ALREADY_CONNECTED]
    also = f", {before:,} of them since before" if before else ""
    return [
        f"{report.well:,} of {report.total:,} rows are connected{also}.",
        *_table(report),
        f"Results: {results}",
    ]


def as_json(report: Report, batch_id: str | None, results: Path) -> str:
    document = {
        "batch_id": batch_id,
        "total": report.total,
        "counts": {status.value: report.statuses[status] for status in RowStatus if report.statuses[status]},
        "causes": {cause.name: cause.rows for cause in report.causes.values()},
        "results": str(results),
    }
    return orjson.dumps(document).decode()


def _table(report: Report) -> list[str]:
    """The most frequent cause first."""
    causes = sorted(report.causes.values(), key=lambda cause: (-cause.rows, cause.name))
    if not causes:
        return []
    width = max(len(cause.name) for cause in causes)
    lines = [f"{'rows':>8}  {'cause':<{width}}  the first of them"]
    lines += [
        f"{cause.rows:>8,}  {cause.name:<{width}}  line {cause.line}: {_short(cause.message)}" for cause in causes
    ]
    return ["", *lines, ""]


def _short(message: str) -> str:
    return message if len(message) <= _WIDEST_MESSAGE else f"{message[: _WIDEST_MESSAGE - 1]}…"
