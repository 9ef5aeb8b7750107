"""The audit log for programs: every member of every entry."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from connections.auditing import entry_of
from connections.bulk.spreadsheets import harmless
from connections.repository.audit import AuditRow

_COLUMNS = (
    "at",
    "workspace_id",
    "actor_type",
    "actor",
    "action",
    "account_id",
    "target",
    "outcome",
    "cause",
    "request_id",
    "id",
)


def json_lines(rows: Iterable[AuditRow]) -> Iterator[str]:
    """As the API tells them, and whose they are."""
    for row in rows:
        yield f"{json.dumps(_members(row))}\n"


def csv_lines(rows: Iterable[AuditRow]) -> Iterator[str]:
    """RFC 4180. A request's id is its caller's, and may look like a formula."""
    yield _record(_COLUMNS)
    for row in rows:
        members = _members(row)
        yield _record(harmless(members[name] or "") for name in _COLUMNS)


def _members(row: AuditRow) -> dict[str, Any]:
    return entry_of(row).model_dump(mode="json") | {"workspace_id": row.workspace_id}


def _record(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
