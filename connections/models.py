"""The tables. Queries are in `repository`, changes to the schema in `migrations`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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

LONG_AGO = "1970-01-01 00:00:00"

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Empty until the first change; it then stands as it was created.
    Column("updated_at", UtcDateTime),
    # Kept for the SDKs that set it. Nothing here publishes, so nothing counts against it.
    Column("per_account_monthly_limit", Integer),
    # Where the hosted form may send people back to: a list of URL prefixes, None for nowhere.
    Column("return_urls", JSON(none_as_null=True)),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime),
    # Tasks and accounts that were disconnected name it for good, so the row stays.
    Column("deleted_at", UtcDateTime),
    # How the hosted form looks to those who are sent to it.
    Column("branding_logo_url", String(2048)),
    Column("branding_display_name", String(200)),
    Column("branding_primary_color", String(7)),
)
Index("ix_profiles_workspace_id", profiles.c.workspace_id, profiles.c.id)
# Whether a name is taken. Not unique: nothing but the command line looked before, so there may be two of a name.
IS_THERE = text("deleted_at IS NULL")
Index("ix_profiles_name", profiles.c.workspace_id, profiles.c.name, sqlite_where=IS_THERE, postgresql_where=IS_THERE)

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
    # What it may do beside the public API, as RFC 6749 writes it: words with a blank between them.
    Column("scopes", String(200), nullable=False, server_default=""),
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
    Column("disconnected_at", UtcDateTime),
    # Since when it has this status, and in one word why; empty while it is as it was connected.
    Column("status_since", UtcDateTime),
    Column("status_cause", String(64)),
    # Whose it is in the caller's product, where an end user connected it.
    Column("external_user_id", String(255)),
    Column("external_user_email", String(320)),
    # --- the session. The last refresh that succeeded, and when the access token it brought ends.
    Column("refreshed_at", UtcDateTime),
    Column("access_expires_at", UtcDateTime),
    # A worker may claim the account for a refresh from here on; while one does, the end of its lease. A row that an
    # older version wrote has been due for ever.
    Column("refresh_at", UtcDateTime, nullable=False, server_default=LONG_AGO),
    # Raised by every claim; storing must match it.
    Column("refresh_fence", Integer, nullable=False, server_default="0"),
    # In a row; and what the last one was, as the contract's error object.
    Column("refresh_failures", Integer, nullable=False, server_default="0"),
    Column("last_error", JSON(none_as_null=True)),
    Column("last_error_at", UtcDateTime),
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

# A workspace's accounts, the latest first; and those with one status, of which there may be few.
Index("ix_accounts_workspace_id", accounts.c.workspace_id, accounts.c.id)
Index("ix_accounts_workspace_status", accounts.c.workspace_id, accounts.c.status, accounts.c.id)
# The same of a profile. With the status they are counted without a look at their rows.
Index("ix_accounts_profile_status", accounts.c.profile_id, accounts.c.id, accounts.c.status)
HAS_EXTERNAL_USER = text("external_user_id IS NOT NULL")
Index(
    "ix_accounts_external_user_id",
    accounts.c.workspace_id,
    accounts.c.external_user_id,
    accounts.c.id,
    sqlite_where=HAS_EXTERNAL_USER,
    postgresql_where=HAS_EXTERNAL_USER,
)

# The sessions that are kept alive, in the order in which they are due.
IS_KEPT_ALIVE = text("status = 'active' AND refresh_token IS NOT NULL")
Index("ix_accounts_refresh_at", accounts.c.refresh_at, sqlite_where=IS_KEPT_ALIVE, postgresql_where=IS_KEPT_ALIVE)

# Refresh tokens that nobody uses any more and that still work: of sessions that are to be ended, and those that were
# replaced a moment ago, which work for two more hours and end with the session that replaced them.
retired_sessions = Table(
    "retired_sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("platform", String(40), nullable=False),
    Column("host", String(512), nullable=False),
    # As the account had it: encrypted for the account's column, `Cell(account_id, "refresh_token")`.
    Column("refresh_token", LargeBinary, nullable=False),
    # Empty where it was with the account.
    Column("token_key", String(16)),
    Column("retired_at", UtcDateTime, nullable=False),
    # When it ends by itself, or is given up.
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    # A worker may end it from here on; while one tries, the end of its lease. Empty while the account lives.
    Column("end_at", UtcDateTime),
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
)
IS_TO_BE_ENDED = text("end_at IS NOT NULL")
Index(
    "ix_retired_sessions_end_at",
    retired_sessions.c.end_at,
    sqlite_where=IS_TO_BE_ENDED,
    postgresql_where=IS_TO_BE_ENDED,
)
Index("ix_retired_sessions_token_key", retired_sessions.c.token_key, retired_sessions.c.id)

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
    # --- who asked, for the audit log; the account that is to be reconnected; the link that an end user followed.
    Column("key_id", String(40)),
    Column("account_id", String(40)),
    Column("connect_session_id", String(40)),
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

# --- the hosted form: links that a workspace gives to its own users.
connect_sessions = Table(
    "connect_sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("profile_id", ForeignKey("profiles.id"), nullable=False),
    Column("platform", String(40), nullable=False),
    Column("key_id", String(40), nullable=False),
    # SHA-256 of what the link ends in. The link itself is told once.
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("external_user_id", String(255), nullable=False),
    Column("external_user_email", String(320)),
    Column("return_url", String(2048)),
    Column("allow_quickstart_creds", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    # Tries so far, and the task of the last one.
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("task_id", String(40)),
    Column("completed_at", UtcDateTime),
    Column("account_id", String(40)),
)

# --- a live session for another service of the operator: asked for by the API, which cannot open what is stored,
# answered by a worker, sealed to a key that only this request has.
session_requests = Table(
    "session_requests",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("account_id", String(40), nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("public_key", LargeBinary(32), nullable=False),
    Column("reply_to", String(40), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    # A worker may take it from here on.
    Column("available_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("sealed_session", LargeBinary),
    # Why there is none, as the contract's error object.
    Column("error", JSON(none_as_null=True)),
)
IS_ASKED_FOR = text("finished_at IS NULL")
Index(
    "ix_session_requests_available_at",
    session_requests.c.available_at,
    sqlite_where=IS_ASKED_FOR,
    postgresql_where=IS_ASKED_FOR,
)

# --- webhooks, and what is to be delivered to them: written in the transaction of the change that it tells of.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("url", String(2048), nullable=False),
    Column("events", JSON, nullable=False),
    Column("active", Boolean, nullable=False),
    # HPKE ciphertext, as of credentials: the API can show a secret while it makes it, and never again.
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("sealing_key", String(16), nullable=False, index=True),
    Column("secret_preview", String(20), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    # Nothing is sent before, because its receiver fails; and how often in a row.
    Column("paused_until", UtcDateTime),
    Column("failures", Integer, nullable=False, server_default="0"),
)
Index("ix_webhooks_workspace_id", webhooks.c.workspace_id, webhooks.c.id)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    # The order in which they were written: that of one subject is the order of its changes.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("webhook_id", ForeignKey("webhooks.id"), nullable=False),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    # The same for every webhook that is told, and for every time that it is sent.
    Column("event_id", String(40), nullable=False),
    Column("event", String(60), nullable=False),
    # The account or batch that it is about: what is about one is delivered in order.
    Column("subject", String(40), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # `pending`, `delivered` or `dead`.
    Column("status", String(20), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("fence", Integer, nullable=False, server_default="0"),
    # A worker may send it from here on; while one does, the end of its lease. Empty once it has ended.
    Column("due_at", UtcDateTime),
    # Given up then.
    Column("expires_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, index=True),
    Column("last_status", Integer),
    Column("last_error", String(64)),
)
IS_TO_BE_DELIVERED = text("due_at IS NOT NULL")
Index(
    "ix_webhook_deliveries_due_at",
    webhook_deliveries.c.due_at,
    sqlite_where=IS_TO_BE_DELIVERED,
    postgresql_where=IS_TO_BE_DELIVERED,
)
Index(
    "ix_webhook_deliveries_subject",
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.subject,
    webhook_deliveries.c.number,
    sqlite_where=IS_TO_BE_DELIVERED,
    postgresql_where=IS_TO_BE_DELIVERED,
)
Index(
    "ix_webhook_deliveries_status",
    webhook_deliveries.c.webhook_id,
    webhook_deliveries.c.status,
    webhook_deliveries.c.number,
)

# --- who did what to which account, when, and how it ended. Written once, never changed.
audit_log = Table(
    "audit_log",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("workspace_id", ForeignKey("workspaces.id"), nullable=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    # The id of a key or of a link that was given out, or the part of the service that did it by itself.
    Column("actor", String(60), nullable=False),
    Column("action", String(60), nullable=False),
    Column("account_id", String(40)),
    # What else it was done to: a profile, a webhook, a key.
    Column("target", String(40)),
    Column("outcome", String(20), nullable=False),
    Column("cause", String(64)),
    Column("request_id", String(128)),
)
Index("ix_audit_log_workspace_id", audit_log.c.workspace_id, audit_log.c.id)
OF_AN_ACCOUNT = text("account_id IS NOT NULL")
Index(
    "ix_audit_log_account_id",
    audit_log.c.account_id,
    audit_log.c.id,
    sqlite_where=OF_AN_ACCOUNT,
    postgresql_where=OF_AN_ACCOUNT,
)
