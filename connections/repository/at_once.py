"""A task that has ended with a new account, stored in one statement.

Somebody waits for it, and Postgres can write to several tables in one: a round trip in place of six.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import CTE, Connection, Table, bindparam, exists, func, insert, literal, select

from connections.audit import AuditEntry
from connections.contract import AccountStatus, TaskStatus
from connections.models import accounts, audit_log, connect_tasks
from connections.repository.accounts import NewAccount, account_values
from connections.repository.attempts import EndedTask, ending
from connections.repository.audit import entry_values
from connections.repository.outbox import is_listening
from connections.sqltime import from_now


def can_store_at_once(dialect: str) -> bool:
    return dialect == "postgresql"


def store_at_once(
    connection: Connection, ended: EndedTask, account: NewAccount, entry: AuditEntry, *, connected_at: datetime
) -> bool:
    """False, and nothing stored, when the claim with this fence is no longer the last one, or webhooks are to be told.

    Raises `IntegrityError`, with nothing stored, when the workspace has the account connected already.
    """
    new = {**account_values(account), "connected_at": connected_at}
    noted = entry_values(entry)
    values = {
        "task_id": ended.id,
        "claim": ended.fence,
        "ended_with": ended.outcome,
        "workspaces": [account.workspace_id],
        **{f"new_{name}": value for name, value in new.items()},
        **{f"entry_{name}": value for name, value in noted.items()},
    }
    stored: int = connection.execute(_storing(tuple(new), tuple(noted)), values).scalar_one()
    return stored == 1


@cache
def _storing(of_account: tuple[str, ...], of_entry: tuple[str, ...]) -> Any:
    """The names are those of the values that are parameters."""
    how = {"status": TaskStatus.SUCCEEDED.value, "outcome": bindparam("ended_with")}
    change = ending().where(~exists().where(*is_listening())).values(**how)
    ended = change.returning(connect_tasks.c.id).cte("ended")
    account = {
        **_parameters(accounts, "new", of_account),
        "status": literal(AccountStatus.ACTIVE.value),
        "refresh_at": from_now("new_refresh_in"),
    }
    entry = {**_parameters(audit_log, "entry", of_entry), "at": from_now()}
    stored = (_row_of(table, values, ended) for table, values in ((accounts, account), (audit_log, entry)))
    return select(func.count()).select_from(ended).add_cte(*stored)


def _parameters(table: Table, prefix: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(f"{prefix}_{name}", type_=table.c[name].type) for name in names if name in table.c}


def _row_of(table: Table, values: Mapping[str, Any], ended: CTE) -> CTE:
    """A row if the task has ended, none otherwise."""
    return insert(table).from_select(list(values), select(*values.values()).select_from(ended)).cte(table.name)
