"""The tables. Queries are in `repository`, changes to the schema in `migrations`."""

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

from connections.sqltime import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
Index("ix_profiles_workspace_id", profiles.c.workspace_id, profiles.c.id)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(200), nullable=False),
    # The visible beginning of the key finds the row, the SHA-256 of the whole proves it. The key itself is not kept.
    Column("prefix", String(32), nullable=False, unique=True),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # To the minute: a busy key is written once a minute, not once a request.
    Column("last_used_at", UtcDateTime),
)
Index("ix_api_keys_workspace_id", api_keys.c.workspace_id, api_keys.c.id)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("profile_id", ForeignKey("profiles.id"), nullable=False, index=True),
    Column("platform", String(40), nullable=False),
    Column("external_id", String(2048), nullable=False),
    Column("account_name", String(255)),
    Column("display_name", String(640)),
    Column("avatar_url", String(2048)),
    Column("host", String(512), nullable=False),
    Column("status", String(20), nullable=False),
    Column("connection_type", String(20), nullable=False),
    Column("access_token", LargeBinary),
    Column("refresh_token", LargeBinary),
    # The key of both tokens, which each of them names too: tells which rows a key is still needed for.
    Column("token_key", String(16)),
    Column("connected_at", UtcDateTime, nullable=False),
)

# Decides every race: an account is connected at most once in a workspace.
CONNECTED_ONCE = text("status <> 'disconnected'")
Index(
    "uq_accounts_connected_once",
    accounts.c.workspace_id,
    accounts.c.platform,
    accounts.c.external_id,
    unique=True,
    sqlite_where=CONNECTED_ONCE,
    postgresql_where=CONNECTED_ONCE,
)

# Whether a row of a batch may be an account that its workspace has already, before anybody is asked who it is.
Index(
    "ix_accounts_name",
    accounts.c.workspace_id,
    accounts.c.account_name,
    sqlite_where=CONNECTED_ONCE,
    postgresql_where=CONNECTED_ONCE,
)

# A row with tokens that does not say which key they have is in the index too, so that it is not overlooked.
HAS_TOKENS = text("coalesce(access_token, refresh_token) IS NOT NULL")
Index(
    "ix_accounts_token_key",
    accounts.c.token_key,
    accounts.c.id,
    sqlite_where=HAS_TOKENS,
    postgresql_where=HAS_TOKENS,
)

connect_batches = Table(
    "connect_batches",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("platform", String(40), nullable=False),
    Column("request_id", String(128), nullable=False),
    # Rows as they were sent, those refused at acceptance included.
    Column("total", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Empty while its rows are still arriving: nobody sees the batch or works on it before it is whole.
    Column("accepted_at", UtcDateTime),
    Column("canceled_at", UtcDateTime),
    # Noted by the dispatcher a moment after the last row has ended.
    Column("finished_at", UtcDateTime),
    # What holds the rest back at the moment, as the dispatcher last saw it; `contract.BatchWait`.
    Column("waits_for", JSON(none_as_null=True)),
)
UNFINISHED = text("finished_at IS NULL")
Index(
    "ix_connect_batches_unfinished",
    connect_batches.c.created_at,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)
Index("ix_connect_batches_finished_at", connect_batches.c.finished_at)
# Few at any time; those that are old will never be accepted.
ARRIVING = text("accepted_at IS NULL")
Index(
    "ix_connect_batches_arriving",
    connect_batches.c.created_at,
    sqlite_where=ARRIVING,
    postgresql_where=ARRIVING,
)

# Rows that were refused when the batch was accepted; the others are tasks.
connect_batch_rejections = Table(
    "connect_batch_rejections",
    metadata,
    Column("batch_id", String(40), primary_key=True),
    Column("batch_row", Integer, primary_key=True),
    # Where the row begins in a file; empty for JSON, which has no lines to speak of.
    Column("line", Integer),
    Column("external_ref", String(255)),
    Column("issues", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

connect_tasks = Table(
    "connect_tasks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("profile_id", ForeignKey("profiles.id"), nullable=False),
    Column("platform", String(40), nullable=False),
    Column("queue", String(40), nullable=False),
    Column("status", String(20), nullable=False),
    Column("request_id", String(128), nullable=False),
    # HPKE ciphertext, readable by workers only; erased when the task ends, with the id of its key.
    Column("sealed_credentials", LargeBinary),
    Column("sealing_key", String(16)),
    # W3C Trace Context of the request, for whoever works on it; empty unless there are traces.
    Column("traceparent", String(55)),
    # Keyed hash of the whole request: identical requests in flight share one task. Emptied when the task ends.
    Column("fingerprint", LargeBinary(32), nullable=False),
    # The API process that waits for the outcome, and until when; both empty when nobody does.
    Column("reply_to", String(40)),
    Column("caller_waits_until", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    # Raised by every claim; settling must match it, so a worker that lost its lease changes nothing.
    Column("fence", Integer, nullable=False),
    # A worker may claim the row from here on: at once when queued, after the lease when running, when due on a retry.
    Column("available_at", UtcDateTime, nullable=False),
    # The sweep sends the row's message again from here on, and each time waits longer.
    Column("sweep_at", UtcDateTime, nullable=False),
    Column("sweeps", Integer, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("outcome", JSON(none_as_null=True)),
    # In one word why the task did not succeed: the code of its issue or of its error, in lower case.
    Column("cause", String(64)),
    # --- only for rows of a batch. No foreign key: rows are pruned one by one, and their batch after them.
    Column("batch_id", String(40)),
    Column("batch_row", Integer),
    Column("external_ref", String(255)),
    # The dispatcher may send the row from here on; empty while it is sent, and when it has ended.
    Column("dispatch_at", UtcDateTime),
    # The host (`name` or `name:port`) whose budget it waits for. Empty: nobody knows yet where it leads.
    Column("lane", String(255), nullable=False, server_default=""),
)

IN_FLIGHT = text("status IN ('queued', 'running', 'retrying')")
Index(
    "uq_connect_tasks_in_flight",
    connect_tasks.c.workspace_id,
    connect_tasks.c.fingerprint,
    unique=True,
    sqlite_where=IN_FLIGHT,
    postgresql_where=IN_FLIGHT,
)
Index(
    "ix_connect_tasks_sweep",
    connect_tasks.c.sweep_at,
    sqlite_where=IN_FLIGHT,
    postgresql_where=IN_FLIGHT,
)

HAS_FINISHED = text("finished_at IS NOT NULL")
Index(
    "ix_connect_tasks_finished_at",
    connect_tasks.c.finished_at,
    sqlite_where=HAS_FINISHED,
    postgresql_where=HAS_FINISHED,
)

IN_BATCH = text("batch_id IS NOT NULL")
Index(
    "uq_connect_tasks_batch_row",
    connect_tasks.c.batch_id,
    connect_tasks.c.batch_row,
    unique=True,
    sqlite_where=IN_BATCH,
    postgresql_where=IN_BATCH,
)
# Answers how a batch stands without a look at its rows.
Index(
    "ix_connect_tasks_progress",
    connect_tasks.c.batch_id,
    connect_tasks.c.status,
    connect_tasks.c.cause,
    connect_tasks.c.finished_at,
    sqlite_where=IN_BATCH,
    postgresql_where=IN_BATCH,
)
WAITS_FOR_DISPATCH = text("dispatch_at IS NOT NULL")
Index(
    "ix_connect_tasks_dispatch",
    connect_tasks.c.batch_id,
    connect_tasks.c.lane,
    connect_tasks.c.dispatch_at,
    connect_tasks.c.batch_row,
    sqlite_where=WAITS_FOR_DISPATCH,
    postgresql_where=WAITS_FOR_DISPATCH,
)
# The rows of batches that are on their way, few at any time.
DISPATCHED = text("batch_id IS NOT NULL AND dispatch_at IS NULL AND finished_at IS NULL")
Index(
    "ix_connect_tasks_dispatched",
    connect_tasks.c.lane,
    connect_tasks.c.batch_id,
    sqlite_where=DISPATCHED,
    postgresql_where=DISPATCHED,
)

HAS_CREDENTIALS = text("sealed_credentials IS NOT NULL")
Index(
    "ix_connect_tasks_sealing_key",
    connect_tasks.c.sealing_key,
    sqlite_where=HAS_CREDENTIALS,
    postgresql_where=HAS_CREDENTIALS,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("workspace_id", ForeignKey("workspaces.id"), primary_key=True),
    Column("endpoint", String(40), primary_key=True),
    # Keyed hashes: neither what the caller calls the request nor what is in it can be read back.
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("fingerprint", LargeBinary(32), nullable=False),
    # Where the answer is found, and the request id it was first given under.
    Column("resource_id", String(40), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
