"""How the rows of a batch ended: a page as JSON, or the whole, page by page, as NDJSON or CSV."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

from starlette.responses import StreamingResponse

from api_shim.bootstrap import Shim
from api_shim.render import task_error
from connections.bulk.spreadsheets import harmless
from connections.contract import BatchResult, BatchResultsAnswer, Issue, PageMeta, RowStatus
from connections.errors import ValidationFailed
from connections.outcome import Outcome
from connections.paging import Page
from connections.repository.batches import ResultRow
from connections.service import Caller

JSON, NDJSON, CSV = "application/json", "application/x-ndjson", "text/csv"
OFFERS = (JSON, NDJSON, CSV)

# An answer by `Accept` is none for callers who accept something else.
HEADERS = {"Vary": "Accept"}

# A cursor is the last row of the page before. To the caller it is a word.
CURSOR_PATTERN = "^r[0-9a-f]{1,7}$"

# What is in memory of a whole at any time.
_ROWS_AT_ONCE = 500

_COLUMNS = (
    "row",
    "line",
    "external_ref",
    "status",
    "account_id",
    "account_name",
    "external_account_id",
    "code",
    "issue",
    "message",
    "finished_at",
)


def page_answer(page: Page[ResultRow], limit: int, request_id: str) -> BatchResultsAnswer:
    cursor = f"r{page.rows[-1].row:x}" if page.has_more else None
    return BatchResultsAnswer(
        data=[result(row) for row in page.rows],
        meta=PageMeta(limit=limit, next_cursor=cursor, has_more=page.has_more),
        request_id=request_id,
    )


def row_of(cursor: str | None) -> int:
    """The row after which the page begins."""
    return 0 if cursor is None else int(cursor.removeprefix("r"), 16)


def result(row: ResultRow) -> BatchResult:
    """The row as the wire tells it. The error of an unfinished one is that of its last attempt."""
    outcome = _refusal(row.issues) if row.issues is not None else Outcome.from_row(row.outcome)
    return BatchResult(
        row=row.row,
        line=row.line,
        external_ref=row.external_ref,
        status=row.status,
        task_id=row.task_id,
        attempts=row.attempts,
        finished_at=row.finished_at,
        account=outcome.account,
        error=outcome.error and task_error(outcome.error),
    )


def _refusal(issues: list[dict[str, str]]) -> Outcome:
    found = [Issue.model_validate(issue) for issue in issues]
    only = found[0].message if len(found) == 1 else None
    return Outcome.of_error(ValidationFailed(only, issues=found).describe())


@dataclass(frozen=True, slots=True)
class _Format:
    """A way to write rows one after the other."""

    suffix: str
    head: str
    write: Callable[[Iterable[BatchResult]], str]


async def whole_answer(
    shim: Shim, caller: Caller, batch_id: str, media_type: str, *, statuses: frozenset[RowStatus]
) -> StreamingResponse:
    """All rows as a file. Each page is read on its own when the one before has been sent.

    Raises `NotFound` and `ServiceUnavailable`; once rows are on their way such an error cuts the connection.
    """
    form = _FORMATS[media_type]

    def read(after: int) -> tuple[str, int | None]:
        page = shim.batches.results(caller, batch_id, after=after, limit=_ROWS_AT_ONCE, statuses=statuses)
        return form.write(result(row) for row in page.rows), page.rows[-1].row if page.has_more else None

    async def pieces(piece: str, after: int | None) -> AsyncIterator[str]:
        yield form.head + piece
        while after is not None:
            piece, after = await shim.reading.run(read, after)
            yield piece

    content = pieces(*await shim.reading.run(read, 0))
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{batch_id}.{form.suffix}"'}
    return StreamingResponse(content, headers=headers, media_type=media_type)


def _ndjson(results: Iterable[BatchResult]) -> str:
    return "".join(f"{one.model_dump_json()}\n" for one in results)


def _csv(results: Iterable[BatchResult]) -> str:
    return _lines(_cells(one) for one in results)


def _cells(one: BatchResult) -> list[object]:
    account, error = one.account, one.error
    issue = error.issues[0] if error and error.issues else None
    return [
        one.row,
        one.line,
        one.external_ref,  # the caller's own, who must find it again as it was
        one.status,
        account and account.id,
        account and harmless(account.account_name or ""),
        account and harmless(account.external_account_id or ""),
        error and error.code,
        issue and issue.code,
        error and harmless(issue.message if issue else error.message),
        one.model_dump(mode="json", include={"finished_at"})["finished_at"],
    ]


def _lines(records: Iterable[Iterable[object]]) -> str:
    """RFC 4180."""
    lines = io.StringIO()
    csv.writer(lines).writerows(records)
    return lines.getvalue()


_FORMATS = {
    NDJSON: _Format("ndjson", head="", write=_ndjson),
    CSV: _Format("csv", head=_lines([_COLUMNS]), write=_csv),
}
