"""Accounts live on: sessions that are refreshed and ended, webhooks, the hosted form, the audit log."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)


def columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "workspaces": [
            sa.Column("updated_at", TIMESTAMP),
            sa.Column("per_account_monthly_limit", sa.Integer),
            sa.Column("return_urls", sa.JSON),
        ],
        "profiles": [
            sa.Column("updated_at", TIMESTAMP),
            sa.Column("deleted_at", TIMESTAMP),
            sa.Column("branding_logo_url", sa.String(2048)),
            sa.Column("branding_display_name", sa.String(200)),
            sa.Column("branding_primary_color", sa.String(7)),
        ],
        "api_keys": [sa.Column("scopes", sa.String(200), nullable=False, server_default="")],
        "accounts": [
            sa.Column("disconnected_at", TIMESTAMP),
            sa.Column("status_since", TIMESTAMP),
            sa.Column("status_cause", sa.String(64)),
            sa.Column("external_user_id", sa.String(255)),
            sa.Column("external_user_email", sa.String(320)),
            sa.Column("refreshed_at", TIMESTAMP),
            sa.Column("access_expires_at", TIMESTAMP),
            sa.Column("refresh_at", TIMESTAMP, nullable=False, server_default="1970-01-01 00:00:00"),
            sa.Column("refresh_fence", sa.Integer, nullable=False, server_default="0"),
            sa.Column("refresh_failures", sa.Integer, nullable=False, server_default="0"),
            sa.Column("last_error", sa.JSON),
            sa.Column("last_error_at", TIMESTAMP),
        ],
        "connect_tasks": [
            sa.Column("key_id", sa.String(40)),
            sa.Column("account_id", sa.String(40)),
            sa.Column("connect_session_id", sa.String(40)),
        ],
    }


# Name, table, columns, and which rows are in it.
INDEXES: tuple[tuple[str, str, Sequence[str], str | None], ...] = (
    ("ix_profiles_name", "profiles", ["workspace_id", "name"], "deleted_at IS NULL"),
    ("ix_accounts_workspace_id", "accounts", ["workspace_id", "id"], None),
    ("ix_accounts_workspace_status", "accounts", ["workspace_id", "status", "id"], None),
    ("ix_accounts_profile_status", "accounts", ["profile_id", "id", "status"], None),
    (
        "ix_accounts_external_user_id",
        "accounts",
        ["workspace_id", "external_user_id", "id"],
        "external_user_id IS NOT NULL",
    ),
    ("ix_accounts_refresh_at", "accounts", ["refresh_at"], "status = 'active' AND refresh_token IS NOT NULL"),
    ("ix_retired_sessions_account_id", "retired_sessions", ["account_id"], None),
    ("ix_retired_sessions_expires_at", "retired_sessions", ["expires_at"], None),
    ("ix_retired_sessions_end_at", "retired_sessions", ["end_at"], "end_at IS NOT NULL"),
    ("ix_retired_sessions_token_key", "retired_sessions", ["token_key", "id"], None),
    ("ix_connect_sessions_expires_at", "connect_sessions", ["expires_at"], None),
    ("ix_session_requests_expires_at", "session_requests", ["expires_at"], None),
    ("ix_session_requests_available_at", "session_requests", ["available_at"], "finished_at IS NULL"),
    ("ix_webhooks_workspace_id", "webhooks", ["workspace_id", "id"], None),
    ("ix_webhooks_sealing_key", "webhooks", ["sealing_key"], None),
    ("ix_webhook_deliveries_finished_at", "webhook_deliveries", ["finished_at"], None),
    ("ix_webhook_deliveries_due_at", "webhook_deliveries", ["due_at"], "due_at IS NOT NULL"),
    ("ix_webhook_deliveries_subject", "webhook_deliveries", ["webhook_id", "subject", "number"], "due_at IS NOT NULL"),
    ("ix_webhook_deliveries_status", "webhook_deliveries", ["webhook_id", "status", "number"], None),
    ("ix_audit_log_at", "audit_log", ["at"], None),
    ("ix_audit_log_workspace_id", "audit_log", ["workspace_id", "id"], None),
    ("ix_audit_log_account_id", "audit_log", ["account_id", "id"], "account_id IS NOT NULL"),
)


def upgrade() -> None:
    for table, added in columns().items():
        for column in added:
            op.add_column(table, column)
    _create_sessions()
    _create_webhooks()
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("at", TIMESTAMP, nullable=False),
        sa.Column("actor", sa.String(60), nullable=False),
        sa.Column("action", sa.String(60), nullable=False),
        sa.Column("account_id", sa.String(40)),
        sa.Column("target", sa.String(40)),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("cause", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        *_keys("audit_log", "workspace_id"),
    )
    for name, table, indexed, condition in INDEXES:
        where = None if condition is None else sa.text(condition)
        op.create_index(name, table, [*indexed], sqlite_where=where, postgresql_where=where)


def _create_sessions() -> None:
    op.create_table(
        "retired_sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("host", sa.String(512), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary, nullable=False),
        sa.Column("token_key", sa.String(16)),
        sa.Column("retired_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("end_at", TIMESTAMP),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        *_keys("retired_sessions", "account_id"),
    )
    op.create_table(
        "connect_sessions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("profile_id", sa.String(40), nullable=False),
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("external_user_id", sa.String(255), nullable=False),
        sa.Column("external_user_email", sa.String(320)),
        sa.Column("return_url", sa.String(2048)),
        sa.Column("allow_quickstart_creds", sa.Boolean, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("task_id", sa.String(40)),
        sa.Column("completed_at", TIMESTAMP),
        sa.Column("account_id", sa.String(40)),
        *_keys("connect_sessions", "workspace_id", "profile_id"),
        sa.UniqueConstraint("token_hash", name="uq_connect_sessions_token_hash"),
    )
    op.create_table(
        "session_requests",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("account_id", sa.String(40), nullable=False),
        sa.Column("key_id", sa.String(40), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("public_key", sa.LargeBinary(32), nullable=False),
        sa.Column("reply_to", sa.String(40), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("available_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("sealed_session", sa.LargeBinary),
        sa.Column("error", sa.JSON),
        *_keys("session_requests", "workspace_id"),
    )


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("sealing_key", sa.String(16), nullable=False),
        sa.Column("secret_preview", sa.String(20), nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("updated_at", TIMESTAMP, nullable=False),
        sa.Column("deleted_at", TIMESTAMP),
        sa.Column("paused_until", TIMESTAMP),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        *_keys("webhooks", "workspace_id"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("webhook_id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("event", sa.String(60), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("due_at", TIMESTAMP),
        sa.Column("expires_at", TIMESTAMP, nullable=False),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String(64)),
        *_keys("webhook_deliveries", "webhook_id", "workspace_id", key="number"),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
    )


_REFERRED = {
    "workspace_id": "workspaces.id",
    "profile_id": "profiles.id",
    "account_id": "accounts.id",
    "webhook_id": "webhooks.id",
}


def _keys(table: str, *foreign: str, key: str = "id") -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint(key, name=f"pk_{table}"),
        *(sa.ForeignKeyConstraint([one], [_REFERRED[one]], name=f"fk_{table}_{one}") for one in foreign),
    ]


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
    for table in (
        "audit_log",
        "webhook_deliveries",
        "webhooks",
        "session_requests",
        "connect_sessions",
        "retired_sessions",
    ):
        op.drop_table(table)
    for table, added in columns().items():
        for column in added:
            op.drop_column(table, column.name)
