"""Batches: rows that belong together, where each waits, and why it failed."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIMESTAMP = sa.DateTime(timezone=True)

INDEXES = (
    ("uq_connect_tasks_batch_row", ["batch_id", "batch_row"], "batch_id IS NOT NULL"),
    ("ix_connect_tasks_progress", ["batch_id", "status", "cause", "finished_at"], "batch_id IS NOT NULL"),
    ("ix_connect_tasks_dispatch", ["batch_id", "lane", "dispatch_at", "batch_row"], "dispatch_at IS NOT NULL"),
    (
        "ix_connect_tasks_dispatched",
        ["lane", "batch_id"],
        "batch_id IS NOT NULL AND dispatch_at IS NULL AND finished_at IS NULL",
    ),
)


def columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("cause", sa.String(64)),
        sa.Column("batch_id", sa.String(40)),
        sa.Column("batch_row", sa.Integer),
        sa.Column("external_ref", sa.String(255)),
        sa.Column("dispatch_at", TIMESTAMP),
        sa.Column("lane", sa.String(255), nullable=False, server_default=""),
    ]


def upgrade() -> None:
    op.create_table(
        "connect_batches",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("workspace_id", sa.String(40), nullable=False),
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.Column("accepted_at", TIMESTAMP),
        sa.Column("canceled_at", TIMESTAMP),
        sa.Column("finished_at", TIMESTAMP),
        sa.Column("waits_for", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_connect_batches"),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name="fk_connect_batches_workspace_id"),
    )
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(
        "ix_connect_batches_unfinished",
        "connect_batches",
        ["created_at"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_index("ix_connect_batches_finished_at", "connect_batches", ["finished_at"])
    arriving = sa.text("accepted_at IS NULL")
    op.create_index(
        "ix_connect_batches_arriving",
        "connect_batches",
        ["created_at"],
        sqlite_where=arriving,
        postgresql_where=arriving,
    )
    op.create_table(
        "connect_batch_rejections",
        sa.Column("batch_id", sa.String(40), nullable=False),
        sa.Column("batch_row", sa.Integer, nullable=False),
        sa.Column("line", sa.Integer),
        sa.Column("external_ref", sa.String(255)),
        sa.Column("issues", sa.JSON, nullable=False),
        sa.Column("created_at", TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "batch_row", name="pk_connect_batch_rejections"),
    )
    op.create_index("ix_connect_batch_rejections_created_at", "connect_batch_rejections", ["created_at"])
    for column in columns():
        op.add_column("connect_tasks", column)
    for name, indexed, where in INDEXES:
        op.create_index(
            name,
            "connect_tasks",
            indexed,
            unique=name.startswith("uq_"),
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    for name, *_ in reversed(INDEXES):
        op.drop_index(name, "connect_tasks")
    for column in reversed(columns()):
        op.drop_column("connect_tasks", column.name)
    op.drop_table("connect_batch_rejections")
    op.drop_table("connect_batches")
