"""The first tables: workspaces, profiles, API keys, accounts and connect tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out rather than imported from the models: a revision must keep meaning what it meant when it was written.
TIMESTAMP = sa.DateTime(timezone=True)
CONNECTED_ONCE = sa.text("status <> 'disconnected'")
IN_FLIGHT = sa.text("status IN ('queued', 'running', 'retrying')")


def upgrade() -> None:
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspaces"),
    )
    op.create_table(
        "profiles",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_profiles"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_profiles_workspace_id"),
    )
    op.create_index("ix_profiles_workspace_id", "profiles", ["workspace_id"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP),
        sa.Column("revoked_at", TIMESTAMP),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_api_keys_workspace_id"),
        sa.UniqueConstraint("prefix", name="uq_api_keys_prefix"),
    )
    op.create_index("ix_api_keys_workspace_id", "api_keys", ["workspace_id"])

    op.create_table(
        "accounts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("profile_id", sa.String(40), nullable=False),
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("external_id", sa.String(2048), nullable=False),
        sa.Column("account_name", sa.String(255)),
        sa.Column("display_name", sa.String(640)),
        sa.Column("avatar_url", sa.String(2048)),
        sa.Column("host", sa.String(512), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("connection_type", sa.String(20), nullable=False),
        sa.Column("access_token", sa.LargeBinary),
        sa.Column("refresh_token", sa.LargeBinary),
        sa.Column("connected_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_accounts_workspace_id"),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name="fk_accounts_profile_id"),
    )
    op.create_index("ix_accounts_profile_id", "accounts", ["profile_id"])
    op.create_index(
        "uq_accounts_connected_once",
        "accounts",
        ["workspace_id", "platform", "external_id"],
        unique=True,
        sqlite_where=CONNECTED_ONCE,
        postgresql_where=CONNECTED_ONCE,
    )

    op.create_table(
        "connect_tasks",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("profile_id", sa.String(40), nullable=False),
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("queue", sa.String(40), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("sealed_credentials", sa.LargeBinary),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("reply_to", sa.String(40)),
        sa.Column("caller_waits_until", TIMESTAMP),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("available_at", TIMESTAMP, nullable=False),
        sa.Column("sweep_at", TIMESTAMP, nullable=False),
        sa.Column("sweeps", sa.Integer, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("outcome", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_connect_tasks"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_connect_tasks_workspace_id"),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name="fk_connect_tasks_profile_id"),
    )
    op.create_index(
        "uq_connect_tasks_in_flight",
        "connect_tasks",
        ["workspace_id", "fingerprint"],
        unique=True,
        sqlite_where=IN_FLIGHT,
        postgresql_where=IN_FLIGHT,
    )
    op.create_index(
        "ix_connect_tasks_sweep",
        "connect_tasks",
        ["sweep_at"],
        sqlite_where=IN_FLIGHT,
        postgresql_where=IN_FLIGHT,
    )


def downgrade() -> None:
    for table in ("connect_tasks", "accounts", "api_keys", "profiles", "workspaces"):
        op.drop_table(table)
