"""Which keys the stored secrets need, by the indexes on their ids; and account tokens on their way to another key."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, TextClause, bindparam, func, select, update

from connections.models import HAS_CREDENTIALS, HAS_TOKENS, accounts, connect_tasks


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The ids that rows name, by kind. None stands for rows that have a secret and do not say which key it has."""

    sealing: frozenset[str | None]
    tokens: frozenset[str | None]


def keys_in_use(connection: Connection) -> KeyUse:
    """As many index look-ups as there are keys, however many rows there are."""
    return KeyUse(
        sealing=_named(connection, connect_tasks.c.sealing_key, HAS_CREDENTIALS),
        tokens=_named(connection, accounts.c.token_key, HAS_TOKENS),
    )


def count_sealed(connection: Connection, key_id: str | None) -> int:
    """Connect tasks whose credentials are sealed to this key."""
    return _count(connection, connect_tasks.c.sealing_key == key_id, HAS_CREDENTIALS)


def count_encrypted(connection: Connection, key_id: str | None) -> int:
    """Accounts whose tokens are encrypted with this key."""
    return _count(connection, accounts.c.token_key == key_id, HAS_TOKENS)


def _named(connection: Connection, column: ColumnElement[str | None], condition: TextClause) -> frozenset[str | None]:
    found: list[str | None] = []
    if connection.execute(select(1).where(condition, column.is_(None)).limit(1)).first() is not None:
        found.append(None)
    # From one id to the next: a DISTINCT would read the whole index.
    next_one = select(column).where(condition, column > bindparam("last")).order_by(column).limit(1)
    last: str | None = ""
    while (last := connection.execute(next_one, {"last": last}).scalar()) is not None:
        found.append(last)
    return frozenset(found)


def _count(connection: Connection, has_key: ColumnElement[bool], condition: TextClause) -> int:
    return connection.execute(select(func.count()).where(has_key, condition)).scalar_one()


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The token columns of one account, as they are stored."""

    id: str
    access_token: bytes | None = field(repr=False)
    refresh_token: bytes | None = field(repr=False)


def token_rows(connection: Connection, key_id: str | None, *, after: str, limit: int) -> list[TokenRow]:
    """The next accounts whose tokens have this key, in the order of their ids."""
    query = (
        select(accounts.c.id, accounts.c.access_token, accounts.c.refresh_token)
        .where(accounts.c.token_key == key_id, HAS_TOKENS, accounts.c.id > after)
        .order_by(accounts.c.id)
        .limit(limit)
    )
    return [TokenRow(**row._mapping) for row in connection.execute(query)]


def replace_tokens(connection: Connection, changes: Sequence[tuple[TokenRow, TokenRow]], *, token_key: str) -> None:
    """From what was read to the same under another key. A row that somebody has written since then is left alone."""
    if changes:
        connection.execute(
            _REPLACE,
            [
                {
                    "row": old.id,
                    "old_access": old.access_token,
                    "old_refresh": old.refresh_token,
                    "new_access": new.access_token,
                    "new_refresh": new.refresh_token,
                    "new_key": token_key,
                }
                for old, new in changes
            ],
        )


_REPLACE = (
    update(accounts)
    .where(
        accounts.c.id == bindparam("row"),
        accounts.c.access_token.is_not_distinct_from(bindparam("old_access")),
        accounts.c.refresh_token.is_not_distinct_from(bindparam("old_refresh")),
    )
    .values(
        access_token=bindparam("new_access"),
        refresh_token=bindparam("new_refresh"),
        token_key=bindparam("new_key"),
    )
)
