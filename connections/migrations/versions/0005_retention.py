"""Indexes: the tasks that ended long ago; the profiles and the keys of a workspace in their order."""

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
    for table in ("profiles", "api_keys"):
        op.drop_index(f"ix_{table}_workspace_id", table)
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id", "id"])


def downgrade() -> None:
    for table in ("profiles", "api_keys"):
        op.drop_index(f"ix_{table}_workspace_id", table)
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])
    op.drop_index("ix_connect_tasks_finished_at", "connect_tasks")
