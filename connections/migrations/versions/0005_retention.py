"""Finds the tasks that ended long ago."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

HAS_FINISHED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_connect_tasks_finished_at",
        "connect_tasks",
        ["finished_at"],
        sqlite_where=HAS_FINISHED,
        postgresql_where=HAS_FINISHED,
    )


def downgrade() -> None:
    op.drop_index("ix_connect_tasks_finished_at", "connect_tasks")
