"""Accounts of a workspace by their names."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connected = sa.text("status <> 'disconnected'")
    op.create_index(
        "ix_accounts_name",
        "accounts",
        ["workspace_id", "account_name"],
        sqlite_where=connected,
        postgresql_where=connected,
    )


def downgrade() -> None:
    op.drop_index("ix_accounts_name", "accounts")
