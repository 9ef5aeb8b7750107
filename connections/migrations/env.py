"""Run by Alembic for every command.

`connections.migrate` hands its open transaction over. Alembic's own command line has none and gets the database of the
settings: `alembic revision --autogenerate -m "why"`.
"""

import math

from alembic import context
from sqlalchemy import Connection

from connections.db import Database
from connections.models import metadata
from connections.settings import load_settings


def run(connection: Connection) -> None:
    # Both databases undo a failed CREATE TABLE; Alembic assumes that SQLite does not.
    context.configure(connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


if (handed_over := context.config.attributes.get("connection")) is not None:
    run(handed_over)
else:
    database = Database(load_settings().database, pool_size=1, transaction_seconds=math.inf)
    with database.write() as own:
        run(own)
    database.close()
