"""Which key a row needs, beside the secrets that name it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HAS_TOKENS = sa.text("coalesce(access_token, refresh_token) IS NOT NULL")
HAS_CREDENTIALS = sa.text("sealed_credentials IS NOT NULL")

# A stored secret begins with the id of its key and a dot.
LABEL = {
    "sqlite": "CAST(substr({0}, 1, instr({0}, x'2e') - 1) AS TEXT)",
    "postgresql": "convert_from(substring({0} FROM 1 FOR position('\\x2e'::bytea IN {0}) - 1), 'UTF8')",
}


def upgrade() -> None:
    op.add_column("accounts", sa.Column("token_key", sa.String(16)))
    op.add_column("connect_tasks", sa.Column("sealing_key", sa.String(16)))
    label = LABEL[op.get_bind().dialect.name]
    token, sealed = label.format("coalesce(access_token, refresh_token)"), label.format("sealed_credentials")
    op.execute(sa.text(f"UPDATE accounts SET token_key = {token} WHERE {HAS_TOKENS}"))  # noqa: S608  constants
    op.execute(sa.text(f"UPDATE connect_tasks SET sealing_key = {sealed} WHERE {HAS_CREDENTIALS}"))  # noqa: S608
    op.create_index(
        "ix_accounts_token_key", "accounts", ["token_key", "id"], sqlite_where=HAS_TOKENS, postgresql_where=HAS_TOKENS
    )
    op.create_index(
        "ix_connect_tasks_sealing_key",
        "connect_tasks",
        ["sealing_key"],
        sqlite_where=HAS_CREDENTIALS,
        postgresql_where=HAS_CREDENTIALS,
    )


def downgrade() -> None:
    op.drop_index("ix_connect_tasks_sealing_key", "connect_tasks")
    op.drop_index("ix_accounts_token_key", "accounts")
    op.drop_column("connect_tasks", "sealing_key")
    op.drop_column("accounts", "token_key")
