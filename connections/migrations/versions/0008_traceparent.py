"""Traces: which request a task belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("connect_tasks", sa.Column("traceparent", sa.String(55)))


def downgrade() -> None:
    op.drop_column("connect_tasks", "traceparent")
