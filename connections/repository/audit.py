"""The audit log: entries are added and read, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, literal, select, tuple_

from connections.audit import AuditEntry
from connections.ids import new_id
from connections.models import audit_log
from connections.sqltime import UtcDateTime, from_now


def record(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """In the transaction of what they tell of."""
    if entries:
        connection.execute(_RECORD, [entry_values(entry) for entry in entries])


def entry_values(entry: AuditEntry) -> dict[str, Any]:
    """By the names of their columns, but the date."""
    return {
        "id": new_id("al"),
        "workspace_id": entry.workspace_id,
        "actor": entry.actor,
        "action": entry.action,
        "outcome": entry.outcome,
        "account_id": entry.account_id,
        "target": entry.target,
        "cause": entry.cause,
        "request_id": entry.request_id,
    }


_RECORD = insert(audit_log).values(at=from_now())


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of a workspace are wanted: those that have all that is given. `since` is the first instant, `until`
    the first one after."""

    workspace_id: str
    account_id: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Position(NamedTuple):
    """A place in the log: an entry's."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry as it is stored."""

    id: str
    workspace_id: str
    at: datetime
    actor: str
    action: str
    account_id: str | None
    target: str | None
    outcome: str
    cause: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, the latest first. `next` is where the next page begins, None at the end of the log."""

    rows: list[AuditRow]
    next: Position | None


# How many entries are looked at for a page whose filters no index answers together.
LOOKED_AT = 500

# The filters that have an index in their workspace, the most telling first.
_BY_INDEX = ("account_id", "actor", "action", "outcome")

_FIRST = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def audit_page(connection: Connection, wanted: AuditFilter, *, before: Position | None, limit: int) -> AuditPage:
    """At most `limit` entries before the position, or from the latest on.

    The most telling filter goes by its index, the others are looked at in what that finds. Where few entries have them
    all, a page may have fewer than `limit` and yet not be the last.
    """
    index, others = _stretch(wanted)
    look_at = max(limit + 1, LOOKED_AT) if others else limit + 1
    first, end = Position(wanted.since or _FIRST, ""), Position(wanted.until or _END, "")
    end = end if before is None else min(before, end)
    # Compared and sorted by every column of the index, so that no other will do. Postgres would guess which filter is
    # rare, and read half the log for one whose entries are many and old.
    columns = [*(audit_log.c[name] for name in index), audit_log.c.at, audit_log.c.id]
    query = (
        select(*audit_log.c)
        .where(tuple_(*columns) >= _place(index, first), tuple_(*columns) < _place(index, end))
        .order_by(*(column.desc() for column in columns))
        .limit(look_at)
    )
    return _page([AuditRow(**row._mapping) for row in connection.execute(query)], others, limit, look_at)


def _stretch(wanted: AuditFilter) -> tuple[dict[str, str], dict[str, str]]:
    """The columns that the index begins with and what they must be, and what the others of its entries must be."""
    others = {name: value for name in _BY_INDEX if (value := getattr(wanted, name)) is not None}
    index = {"workspace_id": wanted.workspace_id}
    if name := next(iter(others), None):
        index[name] = others.pop(name)
    return index, others


def _place(index: Mapping[str, str], position: Position) -> ColumnElement[Any]:
    values = [literal(value) for value in index.values()]
    return tuple_(*values, literal(position.at, UtcDateTime), literal(position.id))


def _page(rows: list[AuditRow], others: Mapping[str, str], limit: int, look_at: int) -> AuditPage:
    """Of the rows that were read, of which there may be `look_at` at most."""
    found: list[AuditRow] = []
    looked_at = 0
    while looked_at < len(rows) and len(found) < limit:
        row = rows[looked_at]
        looked_at += 1
        if all(getattr(row, name) == value for name, value in others.items()):
            found.append(row)
    if looked_at == len(rows) < look_at:
        return AuditPage(found, None)
    last = rows[looked_at - 1]
    return AuditPage(found, Position(last.at, last.id))
