"""The audit log as people read it: on 80 columns, and with more room on a wider terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connections.audit import AuditOutcome
from connections.db import Database
from connections.repository import workspaces
from connections.repository.audit import AuditRow

_TIME_WIDTH = len("2026-11-23 10:00:00")
_ID_WIDTH = len("key_01jd2w2b4d6f8h0k2m4p6r8t0v")

# What two columns of ids need beside time and action.
_WIDE = 112


def print_table(database: Database, rows: Sequence[AuditRow], *, is_all: bool) -> None:
    """On stdout; what there is to say beside the entries on stderr."""
    console, aside = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)
    if not rows:
        aside.print("There are no such entries.")
        return
    console.print(_table(rows, _names(database, rows), is_wide=console.width >= _WIDE))
    if not is_all:
        aside.print("There are older ones: --limit shows more, --json all.")


def _names(database: Database, rows: Sequence[AuditRow]) -> dict[str, str]:
    """What people call the keys and workspaces of the entries, by id."""
    with database.read() as connection:
        named = {workspace.id: workspace.name for workspace in workspaces.all_workspaces(connection)}
        ids = {one for row in rows for one in (row.actor, row.target) if one and one.startswith("key_")}
        keys = workspaces.api_keys_named(connection, ids) if ids else []
    return named | {key.id: f"{key.prefix}… {key.name}" for key in keys}


def _table(rows: Sequence[AuditRow], names: Mapping[str, str], *, is_wide: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black", pad_edge=False)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("what", overflow="fold")
    for title in ("by", "on") if is_wide else ("by, on",):
        table.add_column(title, no_wrap=True)
    has_several = len({row.workspace_id for row in rows}) > 1
    for row in rows:
        when = Text(f"{row.at:%Y-%m-%d %H:%M:%S}")
        if has_several:
            when.append(f"\n{_shortened(names[row.workspace_id], _TIME_WIDTH)}", "bright_black")
        by, on = [_called(row.actor, names)], [_called(one, names) for one in (row.account_id, row.target) if one]
        table.add_row(when, _what(row), *(["\n".join(by), "\n".join(on)] if is_wide else ["\n".join(by + on)]))
    return table


def _what(row: AuditRow) -> Text:
    if row.outcome == AuditOutcome.SUCCEEDED:
        return Text(row.action)
    return Text.assemble(row.action, "\n", (f"failed: {row.cause}" if row.cause else row.outcome, "red"))


def _called(one: str, names: Mapping[str, str]) -> str:
    """Ids stay whole, so that they can be copied."""
    return _shortened(names[one], _ID_WIDTH) if one in names else one


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
