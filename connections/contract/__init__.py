"""The wire: what callers send and what they get back.

Field names and shapes follow UniPost's public API reference, so its official SDKs work unchanged.
Everything here is data; deciding happens in `service` and its like, rendering in `api_shim`.

base              what all of the wire is made of: models, instants, pages
errors            errors as callers see them
accounts          connected accounts: as a connect answers, as they are listed, how they are, and their sessions
tasks             connect tasks, for callers that poll
batches           batches, their progress and the results of their rows
owners            workspaces and their profiles: who owns accounts
audit_log         the audit log
connect_sessions  links to the hosted form
requests          bodies of connect requests, as documented; parsing with precise issues is `intake`'s
"""

from connections.contract.accounts import (
    Account,
    AccountAnswer,
    AccountError,
    AccountHealth,
    AccountHealthAnswer,
    AccountSession,
    AccountSessionAnswer,
    AccountStatus,
    ConnectionType,
    DisconnectedAnswer,
    ListedAccount,
    ListedAccountAnswer,
    ListedAccountsAnswer,
)
from connections.contract.audit_log import AuditLogAnswer, AuditLogEntry
from connections.contract.base import Maybe, PageMeta, Timestamp, WireModel, rfc3339
from connections.contract.batches import (
    UNFINISHED_ROWS,
    AcceptedBatch,
    AcceptedBatchAnswer,
    Batch,
    BatchAnswer,
    BatchResult,
    BatchResultsAnswer,
    BatchStatus,
    BatchWait,
    BatchWaitReason,
    RejectedRow,
    RowStatus,
)
from connections.contract.connect_sessions import (
    EMAIL_PATTERN,
    EXTERNAL_USER_ID_PATTERN,
    ConnectSession,
    ConnectSessionAnswer,
    ConnectSessionRequest,
    ConnectSessionStatus,
)
from connections.contract.errors import (
    ErrorAnswer,
    ErrorBody,
    ErrorSource,
    Issue,
    NextAction,
    ProviderError,
    RetryPolicy,
    RetryState,
    Temporality,
)
from connections.contract.owners import Profile, ProfileAnswer, ProfilesAnswer, Workspace, WorkspaceAnswer
from connections.contract.requests import BlueskyCredentials, ConnectRequest, ReconnectRequest
from connections.contract.tasks import FINAL_STATUSES, UNFINISHED_STATUSES, Task, TaskAnswer, TaskError, TaskStatus

__all__ = [
    "EMAIL_PATTERN",
    "EXTERNAL_USER_ID_PATTERN",
    "FINAL_STATUSES",
    "UNFINISHED_ROWS",
    "UNFINISHED_STATUSES",
    "AcceptedBatch",
    "AcceptedBatchAnswer",
    "Account",
    "AccountAnswer",
    "AccountError",
    "AccountHealth",
    "AccountHealthAnswer",
    "AccountSession",
    "AccountSessionAnswer",
    "AccountStatus",
    "AuditLogAnswer",
    "AuditLogEntry",
    "Batch",
    "BatchAnswer",
    "BatchResult",
    "BatchResultsAnswer",
    "BatchStatus",
    "BatchWait",
    "BatchWaitReason",
    "BlueskyCredentials",
    "ConnectRequest",
    "ConnectSession",
    "ConnectSessionAnswer",
    "ConnectSessionRequest",
    "ConnectSessionStatus",
    "ConnectionType",
    "DisconnectedAnswer",
    "ErrorAnswer",
    "ErrorBody",
    "ErrorSource",
    "Issue",
    "ListedAccount",
    "ListedAccountAnswer",
    "ListedAccountsAnswer",
    "Maybe",
    "NextAction",
    "PageMeta",
    "Profile",
    "ProfileAnswer",
    "ProfilesAnswer",
    "ProviderError",
    "ReconnectRequest",
    "RejectedRow",
    "RetryPolicy",
    "RetryState",
    "RowStatus",
    "Task",
    "TaskAnswer",
    "TaskError",
    "TaskStatus",
    "Temporality",
    "Timestamp",
    "WireModel",
    "Workspace",
    "WorkspaceAnswer",
    "rfc3339",
]
