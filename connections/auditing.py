"""The audit log as its readers see it. Blocking; call it from a thread."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge

from connections.audit import actor_type
from connections.contract import AuditLogEntry
from connections.db import Database
from connections.repository import audit
from connections.repository.audit import AuditFilter, AuditRow, Position

# A cursor is the last entry of the page before: its microseconds since 1970, and its id. To the caller it is a word.
CURSOR_PATTERN = "^[0-9a-f]{1,14}-[0-9A-Za-z_]{1,40}$"
_ROWS_AT_ONCE = 200

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AuditLogPage:
    """Entries, the latest first. `next_cursor` is None at the end of the log."""

    entries: list[AuditLogEntry]
    next_cursor: str | None


def read_page(database: Database, wanted: AuditFilter, *, cursor: str | None, limit: int) -> AuditLogPage:
    """At most `limit` entries; perhaps fewer, and yet not the last. `cursor` has the form of `CURSOR_PATTERN`."""
    before = None if cursor is None else _position(cursor)
    with database.read() as connection:
        page = audit.audit_page(connection, wanted, before=before, limit=limit)
    return AuditLogPage([entry_of(row) for row in page.rows], page.next and _cursor(page.next))


def read_all(database: Database, wanted: Iterable[AuditFilter]) -> Iterator[AuditRow]:
    """What any of the filters wants, which must not want the same: to the end of the log, the latest first."""
    return merge(*(_read(database, one) for one in wanted), key=lambda row: (row.at, row.id), reverse=True)


def _read(database: Database, wanted: AuditFilter) -> Iterator[AuditRow]:
    """Some hundred at a time, each of which is a transaction."""
    before: Position | None = None
    while True:
        with database.read() as connection:
            page = audit.audit_page(connection, wanted, before=before, limit=_ROWS_AT_ONCE)
        yield from page.rows
        before = page.next
        if before is None:
            return


def entry_of(row: AuditRow) -> AuditLogEntry:
    """The entry as the wire tells it."""
    return AuditLogEntry(
        id=row.id,
        at=row.at,
        actor=row.actor,
        actor_type=actor_type(row.actor),
        action=row.action,
        account_id=row.account_id,
        target=row.target,
        outcome=row.outcome,
        cause=row.cause,
        request_id=row.request_id,
    )


def _cursor(position: Position) -> str:
    return f"{(position.at - _EPOCH) // _MICROSECOND:x}-{position.id}"


def _position(cursor: str) -> Position:
    microseconds, _, entry_id = cursor.partition("-")
    return Position(_EPOCH + int(microseconds, 16) * _MICROSECOND, entry_id)
