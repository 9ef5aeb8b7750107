"""What the two databases spell differently."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, literal_column
from sqlalchemy.dialects import postgresql, sqlite

_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def insert_into(dialect: str, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, which SQLAlchemy has once for each database."""
    return _INSERT[dialect](table)


_ROW_ADDRESS = {"postgresql": "ctid", "sqlite": "rowid"}


def row_address(connection: Connection) -> ColumnElement[Any]:
    """Where a row is, whatever its key: the shortest way back to it within one statement."""
    return literal_column(_ROW_ADDRESS[connection.dialect.name])
