"""What became of each row: a file for spreadsheets, and a table of causes for people."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path

from cli.failures import CommandFailed
from cli.importing.accounts_file import AccountsFile, FileRow
from cli.importing.batches import Batches
from cli.importing.patience import Patience
from cli.replacing import replacing
from connections.bulk.spreadsheets import harmless
from connections.contract import BatchResult, RowStatus
from connections.outcome import Outcome

_COLUMNS = ("status", "account_id", "account_name", "cause", "message")
_WELL = frozenset({RowStatus.CONNECTED, RowStatus.ALREADY_CONNECTED})


@dataclass(frozen=True, slots=True)
class Cause:
    """What kept rows from being connected: how many, and the first of them."""

    name: str
    rows: int
    line: int
    message: str


@dataclass(slots=True)
class Report:
    """The outcomes, added up while they are written."""

    statuses: Counter[RowStatus] = field(default_factory=Counter)
    causes: dict[str, Cause] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.statuses.total()

    @property
    def well(self) -> int:
        """Rows whose account is connected now."""
        return sum(self.statuses[status] for status in _WELL)

    def add(self, line: int, status: RowStatus, cause: str, message: str) -> None:
        self.statuses[status] += 1
        if status not in _WELL:
            first = self.causes.get(cause, Cause(cause, 0, line, message))
            self.causes[cause] = Cause(cause, first.rows + 1, first.line, first.message)


def all_results(batches: Batches, batch_id: str, patience: Patience) -> Iterator[BatchResult]:
    """In input order, a page at a time."""
    cursor: str | None = None
    while True:
        page = patience.until_answered(partial(batches.results, batch_id, cursor))
        yield from page.data
        cursor = page.meta.next_cursor
        if cursor is None:
            return


def write_results(file: AccountsFile, results: Iterable[BatchResult], path: Path) -> Report:
    """Writes the rows of `file` without their passwords, and beside each what became of it.

    A column that is named like one of ours gives way to it, so that a file of results can be imported again.
    """
    report = Report()
    columns = file.columns
    kept = [name.strip().lower() not in _COLUMNS for name in columns]
    with replacing(path) as stream:
        writer = csv.writer(stream)
        writer.writerow([*compress(columns, kept), *_COLUMNS])
        for row, result in _paired(file, results):
            cause, message = _explanation(result)
            report.add(row.line, result.status, cause, message)
            ours = (result.status.value, *_account(result), cause, message)
            writer.writerow([*compress(row.cells, kept), *map(harmless, ours)])
    return report


def _paired(file: AccountsFile, results: Iterable[BatchResult]) -> Iterator[tuple[FileRow, BatchResult]]:
    try:
        yield from zip(file.rows(), results, strict=True)
    except ValueError:
        raise CommandFailed(f"the batch has not as many rows as {file.path}") from None


def _account(result: BatchResult) -> tuple[str, str]:
    """Its id and name, also when it was connected before."""
    if result.account is not None:
        return result.account.id, result.account.account_name or ""
    details = (result.error and result.error.details) or {}
    return str(details.get("account_id", "")), str(details.get("account_name", ""))


def _explanation(result: BatchResult) -> tuple[str, str]:
    """Cause and message, of a row that did not end well."""
    if result.status in _WELL or result.error is None:
        return "", ""
    messages = [issue.message for issue in result.error.issues or []] or [result.error.message]
    return Outcome.of_error(result.error).cause or "", " ".join(messages)
