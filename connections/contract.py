"""The wire: what callers send and what they get back.

Field names and shapes follow UniPost's public API reference, so its official SDKs work unchanged.
Everything here is data; deciding happens in `service`, rendering in `api_shim`.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from connections.audit import ActorType


def rfc3339(moment: datetime) -> str:
    """`2026-11-23T10:00:00.123Z`: UTC, milliseconds, as RFC 3339 writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class TaskStatus(StrEnum):
    """Where a connect task stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.EXPIRED})
UNFINISHED_STATUSES = frozenset(TaskStatus) - FINAL_STATUSES


class AccountStatus(StrEnum):
    ACTIVE = "active"
    RECONNECT_REQUIRED = "reconnect_required"
    DISCONNECTED = "disconnected"


class ConnectionType(StrEnum):
    BYO = "byo"
    MANAGED = "managed"


class NextAction(StrEnum):
    FIX_REQUEST = "fix_request"
    WAIT_AND_RETRY = "wait_and_retry"
    RECONNECT_ACCOUNT = "reconnect_account"
    CONTACT_SUPPORT = "contact_support"


class ErrorSource(StrEnum):
    UNIPOST = "unipost"
    PLATFORM = "platform"
    WORKER = "worker"
    UNKNOWN = "unknown"


class Temporality(StrEnum):
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


T = TypeVar("T")

# A member that is left out of the rendered JSON when there is nothing to say; a plain `T | None` is rendered as null.
Maybe = Annotated[T | None, Field(exclude_if=lambda value: value is None)]


class WireModel(BaseModel):
    """Immutable, and indifferent to members of a later version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Issue(WireModel):
    """One thing wrong with one field of the request."""

    field: str
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"


class ProviderError(WireModel):
    """What the platform answered, reduced to its status and error name: never its raw body."""

    provider: str
    http_status: Maybe[int] = None
    code: Maybe[str] = None
    is_transient: Maybe[bool] = None


class RetryState(StrEnum):
    """Whether the task itself goes on."""

    SCHEDULED = "scheduled"
    EXHAUSTED = "exhausted"
    NOT_RETRIABLE = "not_retriable"


class RetryPolicy(WireModel):
    """How far the retries of one task have come."""

    is_retriable: bool
    will_retry: bool
    retry_state: RetryState
    next_run_at: Maybe[Timestamp] = None
    attempts_made: int
    max_attempts: int
    attempts_remaining: int
    manual_retry_allowed: bool
    reason: Maybe[str] = None

    @classmethod
    def of(
        cls,
        state: RetryState,
        *,
        attempts: int,
        max_attempts: int,
        next_run_at: datetime | None = None,
        reason: str | None = None,
    ) -> Self:
        """All that follows from where the retries stand."""
        return cls(
            is_retriable=state is not RetryState.NOT_RETRIABLE,
            will_retry=state is RetryState.SCHEDULED,
            retry_state=state,
            next_run_at=next_run_at,
            attempts_made=attempts,
            max_attempts=max_attempts,
            attempts_remaining=max(0, max_attempts - attempts),
            manual_retry_allowed=state is RetryState.EXHAUSTED,
            reason=reason,
        )


class ErrorBody(WireModel):
    """The one error shape. Optional members are absent when there is nothing to say."""

    code: str
    normalized_code: str
    message: str
    hint: Maybe[str] = None
    next_action: Maybe[NextAction] = None
    is_retriable: Maybe[bool] = None
    error_source: Maybe[ErrorSource] = None
    error_temporality: Maybe[Temporality] = None
    provider_error: Maybe[ProviderError] = None
    retry_policy: Maybe[RetryPolicy] = None
    issues: Maybe[list[Issue]] = None
    details: Maybe[dict[str, Any]] = None


class ErrorAnswer(WireModel):
    """Every non-2xx answer of the service."""

    error: ErrorBody
    request_id: str


class Account(WireModel):
    """One connected account, as `data` of the 201 and `account` of a task carry it."""

    id: str
    profile_id: str
    platform: str
    account_name: str | None
    status: AccountStatus
    connection_type: ConnectionType
    connected_at: Timestamp
    external_account_id: str | None = None
    display_name: str | None = None
    avatar_url: str | None = None


class AccountAnswer(WireModel):
    """201: the seven documented fields at the top level, and the account once more under `data`,
    because the reference documents the first and the official SDKs read the second."""

    id: str
    profile_id: str
    platform: str
    account_name: str | None
    status: AccountStatus
    connection_type: ConnectionType
    connected_at: Timestamp
    data: Account
    request_id: str


class AccountSession(WireModel):
    """A live session of an account, for another service of the operator. What refreshes it is never part of it.

    `service_endpoint` is the origin of the account's server, which takes the access token until `expires_at`, as the
    token says; null when it does not.
    """

    account_id: str
    platform: str
    did: str
    handle: str | None
    service_endpoint: str
    access_token: str = Field(repr=False)
    expires_at: Timestamp | None


class AccountSessionAnswer(WireModel):
    data: AccountSession
    request_id: str


class DisconnectedAnswer(WireModel):
    """What a disconnect answers: the account as it is now."""

    data: Account
    request_id: str


class TaskError(ErrorBody):
    """A finished task's error: exactly the synchronous error object, and the status it would have had."""

    http_status: int


class Task(WireModel):
    """A connect task, as pollers see it."""

    id: str
    status: TaskStatus
    platform: str
    profile_id: str
    batch_id: str | None = None
    attempts: int
    next_attempt_at: Timestamp | None
    created_at: Timestamp
    finished_at: Timestamp | None
    account: Account | None
    error: TaskError | None


class TaskAnswer(WireModel):
    data: Task
    request_id: str


class ConnectSessionStatus(StrEnum):
    """Whether an account came of it. `expired` when none did and the link no longer works."""

    PENDING = "pending"
    COMPLETED = "completed"
    EXPIRED = "expired"


class ConnectSession(WireModel):
    """A link to the hosted form. `url` is told once, when it is made: afterwards it is empty, as nobody has it."""

    id: str
    url: str = Field(default="", repr=False)
    allow_quickstart_creds: bool
    status: ConnectSessionStatus
    expires_at: Timestamp
    platform: str
    external_user_id: str
    external_user_email: str | None
    return_url: str | None
    created_at: Timestamp
    completed_at: Timestamp | None
    completed_social_account_id: str | None


class ConnectSessionAnswer(WireModel):
    data: ConnectSession
    request_id: str


class BatchStatus(StrEnum):
    """Where a batch stands. `canceling` while rows that had begun when it was canceled are still under way."""

    RUNNING = "running"
    CANCELING = "canceling"
    CANCELED = "canceled"
    FINISHED = "finished"


class RowStatus(StrEnum):
    """Where a row of a batch stands, or how it ended. The first three are not final.

    A row whose account was connected in this workspace already has what it wanted, so it is no failure; `rejected` is
    one that was refused when the batch was accepted.
    """

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    CONNECTED = "connected"
    ALREADY_CONNECTED = "already_connected"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    REJECTED = "rejected"


UNFINISHED_ROWS = frozenset({RowStatus.QUEUED, RowStatus.RUNNING, RowStatus.RETRYING})


class RejectedRow(WireModel):
    """A row that was refused at acceptance. `row` counts from 1; `line` is where it begins in a file (NDJSON, CSV)."""

    row: int
    line: Maybe[int] = None
    external_ref: Maybe[str] = None
    issues: list[Issue]


class AcceptedBatch(WireModel):
    """What the 202 says. `status` is the one at that moment: a repeated request gets the same answer."""

    id: str
    status: BatchStatus
    total: int
    rejected: list[RejectedRow]


class AcceptedBatchAnswer(WireModel):
    data: AcceptedBatch
    request_id: str


class BatchWaitReason(StrEnum):
    """`rate_limit`: a host's budget; `capacity`: all workers are busy; `retry`: failed rows are due only later."""

    RATE_LIMIT = "rate_limit"
    CAPACITY = "capacity"
    RETRY = "retry"


class BatchWait(WireModel):
    """What holds the rest of a batch back. `host` and `budget` (count/seconds) for a rate limit."""

    reason: BatchWaitReason
    host: Maybe[str] = None
    budget: Maybe[str] = None
    until: Maybe[Timestamp] = None


class Batch(WireModel):
    """A batch as pollers see it. Every count is there, those of 0 too; they add up to `total`.

    `causes` counts the rows that failed, expired or were rejected by the code of what was wrong. `rate` is in rows per
    second over the last minute, `eta` when the last row should end at that rate; null while nothing can be said.
    """

    id: str
    status: BatchStatus
    platform: str
    total: int
    counts: dict[RowStatus, int]
    causes: dict[str, int]
    rate: float | None
    eta: Timestamp | None
    waits_for: BatchWait | None
    created_at: Timestamp
    canceled_at: Timestamp | None
    finished_at: Timestamp | None


class BatchAnswer(WireModel):
    data: Batch
    request_id: str


class BatchResult(WireModel):
    """One row, in input order. `account` is exactly the 201's, `error` exactly the synchronous one and its status.

    For a row that was connected already, `error` names the account in `details`. `issues` of a rejected row are in its
    `error`. `task_id` is null for a rejected row, which never became a task.
    """

    row: int
    line: Maybe[int] = None
    external_ref: str | None
    status: RowStatus
    task_id: str | None
    attempts: int
    finished_at: Timestamp | None
    account: Account | None
    error: TaskError | None


class PageMeta(WireModel):
    """Where the next page begins; `next_cursor` is null on the last one."""

    limit: int
    next_cursor: str | None
    has_more: bool


class BatchResultsAnswer(WireModel):
    data: list[BatchResult]
    meta: PageMeta
    request_id: str


class AuditLogEntry(WireModel):
    """Who did what, to which account or what else, and how it ended. Words that a later version writes pass through."""

    id: str
    at: Timestamp
    actor: str
    actor_type: ActorType
    action: str
    account_id: str | None
    target: str | None
    outcome: str
    cause: str | None
    request_id: str | None


class AuditLogAnswer(WireModel):
    data: list[AuditLogEntry]
    meta: PageMeta
    request_id: str


class ListedAccount(Account):
    """An account as lists and look-ups carry it: also whose it is, in the workspace and in the caller's product."""

    profile_name: str
    external_user_id: str | None
    external_user_email: str | None


class ListedAccountAnswer(WireModel):
    data: ListedAccount
    request_id: str


class ListedAccountsAnswer(WireModel):
    data: list[ListedAccount]
    meta: PageMeta
    request_id: str


class AccountError(ErrorBody):
    """What its platform said last when it was asked to go on with the session, and when."""

    at: Timestamp


class AccountHealth(WireModel):
    """What is known of an account's connection, and since when.

    `last_successful_post_at` is for the SDKs: nothing here publishes. `next_refresh_at` is null unless the session is
    kept alive.
    """

    social_account_id: str
    platform: str
    status: AccountStatus
    status_since: Timestamp
    status_cause: str | None
    last_successful_post_at: Timestamp | None
    token_expires_at: Timestamp | None
    last_refreshed_at: Timestamp | None
    next_refresh_at: Timestamp | None
    refresh_failures: int
    last_error: AccountError | None


class AccountHealthAnswer(WireModel):
    data: AccountHealth
    request_id: str


class Profile(WireModel):
    """`account_count` is without those that are disconnected. The branding is for the hosted form."""

    id: str
    workspace_id: str
    name: str
    account_count: int
    created_at: Timestamp
    updated_at: Timestamp
    branding_logo_url: str | None
    branding_display_name: str | None
    branding_primary_color: str | None


class ProfileAnswer(WireModel):
    data: Profile
    request_id: str


class ProfilesAnswer(WireModel):
    data: list[Profile]
    meta: PageMeta
    request_id: str


class Workspace(WireModel):
    """`per_account_monthly_limit` is kept for the SDKs that set it: nothing here publishes, so nothing counts."""

    id: str
    name: str
    per_account_monthly_limit: int | None
    usage_modes: list[str]
    return_urls: list[str]
    created_at: Timestamp
    updated_at: Timestamp


class WorkspaceAnswer(WireModel):
    data: Workspace
    request_id: str


class BlueskyCredentials(BaseModel):
    """Handle and app password; `identifier` and `password` are accepted because the published samples send them."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    handle: str = Field(
        description="Handle or DID. `identifier` is accepted as an alias.",
        examples=["alice.bsky.social"],
        min_length=1,
        max_length=2048,
    )
    app_password: str = Field(
        description="An app password (Settings → App passwords), never the main password. "
        "`password` is accepted as an alias.",
        examples=["abcd-efgh-2345-wxyz"],
        min_length=1,
        max_length=512,
        repr=False,
    )


class ReconnectRequest(BaseModel):
    """Body of `POST /v1/accounts/{account_id}/reconnect`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    platform: str = Field(default="bluesky", description="That of the account, if it is told.", examples=["bluesky"])
    credentials: BlueskyCredentials


class ConnectRequest(BaseModel):
    """Body of `POST /v1/accounts/connect`, as documented; parsing with precise issues is `intake`'s."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    profile_id: str | None = Field(
        default=None,
        description="Profile that will own the account; required when the workspace has more than one.",
    )
    platform: str = Field(description="`bluesky`.", examples=["bluesky"])
    credentials: BlueskyCredentials


# As the intake has them, too. An end user's name is any text with something to see in it; NUL cannot be stored.
EXTERNAL_USER_ID_PATTERN = r"^[^\x00]*[^\s\x00-\x1f\x85][^\x00]*$"
EMAIL_PATTERN = r"^[^@\s\x00-\x1f\x7f\x85]+@[^@\s\x00-\x1f\x7f\x85]+$"


class ConnectSessionRequest(BaseModel):
    """Body of `POST /v1/connect/sessions`; parsing with precise issues is `connect_sessions.intake`'s."""

    platform: str = Field(description="`bluesky`.", examples=["bluesky"])
    external_user_id: str = Field(
        description="Your own name for the end user, told again with the account.",
        max_length=255,
        pattern=EXTERNAL_USER_ID_PATTERN,
    )
    external_user_email: str | None = Field(
        default=None, description="Told again with the account.", max_length=320, pattern=EMAIL_PATTERN
    )
    return_url: str | None = Field(
        default=None,
        description="Where the form sends the end user afterwards, with `connect_session_id` and `status=completed` in "
        "the query. It must be below one of the return URLs of the workspace.",
        max_length=2048,
        pattern=r"^[^\x00]*$",
    )
    profile_id: str | None = Field(
        default=None,
        description="Profile that will own the account, and whose branding the form shows; required when the workspace "
        "has more than one.",
    )
    allow_quickstart_creds: bool | None = Field(
        default=None, description="Kept and told again. It means nothing for accounts that are connected by password."
    )
