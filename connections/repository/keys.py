"""Which keys the stored secrets need, by the indexes on their ids; and secrets on their way to another key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, TextClause, bindparam, func, select, true, update

from connections.models import HAS_CREDENTIALS, HAS_TOKENS, IS_KEPT, accounts, connect_tasks, retired_sessions, webhooks


@dataclass(frozen=True, slots=True, eq=False)
class Secrets:
    """Where secrets of one kind are stored. `one` and `many` are what people call its rows.

    `key` is the column with the key's id. `columns` are the secrets of a row, all of them under that key, and bound to
    what is in `owner` beside their row or column.
    """

    one: str
    many: str
    table: Table
    key: Column[Any]
    columns: tuple[Column[Any], ...]
    owner: Column[Any]
    condition: ColumnElement[bool] | TextClause


CREDENTIALS = Secrets(
    "connect task",
    "connect tasks",
    connect_tasks,
    connect_tasks.c.sealing_key,
    (connect_tasks.c.sealed_credentials,),
    connect_tasks.c.workspace_id,
    HAS_CREDENTIALS,
)
WEBHOOK_SECRETS = Secrets(
    "webhook",
    "webhooks",
    webhooks,
    webhooks.c.sealing_key,
    (webhooks.c.sealed_secret,),
    webhooks.c.workspace_id,
    IS_KEPT,
)
ACCOUNT_TOKENS = Secrets(
    "account",
    "accounts",
    accounts,
    accounts.c.token_key,
    (accounts.c.access_token, accounts.c.refresh_token),
    accounts.c.id,
    HAS_TOKENS,
)
RETIRED_TOKENS = Secrets(
    "retired session",
    "retired sessions",
    retired_sessions,
    retired_sessions.c.token_key,
    (retired_sessions.c.refresh_token,),
    retired_sessions.c.account_id,
    true(),
)

SEALED = (CREDENTIALS, WEBHOOK_SECRETS)
ENCRYPTED = (ACCOUNT_TOKENS, RETIRED_TOKENS)


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The ids that rows name, by kind. None stands for rows that have a secret and do not say which key it has."""

    sealing: frozenset[str | None]
    tokens: frozenset[str | None]


def keys_in_use(connection: Connection) -> KeyUse:
    """As many index look-ups as there are keys, however many rows there are."""
    return KeyUse(
        sealing=frozenset[str | None]().union(*(keys_of(connection, secrets) for secrets in SEALED)),
        tokens=frozenset[str | None]().union(*(keys_of(connection, secrets) for secrets in ENCRYPTED)),
    )


def keys_of(connection: Connection, secrets: Secrets) -> frozenset[str | None]:
    """The ids that rows of one kind name, as `KeyUse` has them."""
    column: ColumnElement[Any] = secrets.key
    found: list[str | None] = []
    unnamed = select(1).where(secrets.condition, column.is_(None)).limit(1)
    if secrets.key.nullable and connection.execute(unnamed).first() is not None:
        found.append(None)
    # From one id to the next: a DISTINCT would read the whole index.
    next_one = select(column).where(secrets.condition, column > bindparam("last")).order_by(column).limit(1)
    last: str | None = ""
    while (last := connection.execute(next_one, {"last": last}).scalar()) is not None:
        found.append(last)
    return frozenset(found)


def count_secrets(connection: Connection, secrets: Secrets, key_id: str | None) -> int:
    """Rows whose secrets have this key."""
    query = select(func.count()).select_from(secrets.table).where(secrets.key == key_id, secrets.condition)
    return connection.execute(query).scalar_one()


@dataclass(frozen=True, slots=True)
class SecretRow:
    """The secrets of one row as they are stored, in the order of `Secrets.columns`, and what they are bound to."""

    id: str
    owner: str
    secrets: tuple[bytes | None, ...] = field(repr=False)


def secret_rows(
    connection: Connection, secrets: Secrets, key_id: str | None, *, after: str, limit: int
) -> list[SecretRow]:
    """The next rows whose secrets have this key, in the order of their ids."""
    row_id = secrets.table.c.id
    query = (
        select(row_id, secrets.owner.label("owner"), *secrets.columns)
        .where(secrets.key == key_id, secrets.condition, row_id > after)
        .order_by(row_id)
        .limit(limit)
    )
    return [SecretRow(row[0], row[1], tuple(row[2:])) for row in connection.execute(query)]


def replace_secrets(
    connection: Connection, secrets: Secrets, changes: Sequence[tuple[SecretRow, SecretRow]], *, key_id: str
) -> None:
    """From what was read to the same under another key. A row that somebody has written since then is left alone."""
    if changes:
        connection.execute(
            _replacing(secrets),
            [
                {
                    "row": old.id,
                    "key": key_id,
                    **{f"old_{number}": secret for number, secret in enumerate(old.secrets)},
                    **{f"new_{number}": secret for number, secret in enumerate(new.secrets)},
                }
                for old, new in changes
            ],
        )


@cache
def _replacing(secrets: Secrets) -> Any:
    columns = list(enumerate(secrets.columns))
    unchanged = [column.is_not_distinct_from(bindparam(f"old_{number}")) for number, column in columns]
    replaced: dict[str, Any] = {column.name: bindparam(f"new_{number}") for number, column in columns}
    return (
        update(secrets.table)
        .where(secrets.table.c.id == bindparam("row"), *unchanged)
        .values({**replaced, secrets.key.name: bindparam("key")})
    )
