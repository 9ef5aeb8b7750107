"""What the audit log says: who did what to which account, and how it ended.

An entry is written in the transaction of what it tells of, so there is none without the other. It names and never
quotes: ids, words of ours, no text that a caller or a platform wrote.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

# Who acts when no key and no link does.
WORKER = "worker"
"""The service by itself, such as by refreshing a session."""
OPERATOR = "operator"
"""Somebody at the command line."""
UNKNOWN = "unknown"
"""A request from before there was an audit log."""

# What the ids of those who act begin with otherwise.
_KEY, _CONNECT_SESSION = "key_", "cs_"

KEPT_DAYS = 90
"""No entry is deleted before, which the database sees to: `append_only`."""


class Action(StrEnum):
    """What was done."""

    ACCOUNT_CONNECT = "account.connect"
    ACCOUNT_RECONNECT = "account.reconnect"
    ACCOUNT_DISCONNECT = "account.disconnect"
    ACCOUNT_REFUSED = "account.refused"
    """Its platform refused to go on with its session."""
    ACCOUNT_SESSION = "account.session"
    """Its live session was given to another service of the operator."""
    BATCH_CREATE = "batch.create"
    BATCH_CANCEL = "batch.cancel"
    CONNECT_SESSION_CREATE = "connect_session.create"
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    PROFILE_CREATE = "profile.create"
    PROFILE_UPDATE = "profile.update"
    PROFILE_DELETE = "profile.delete"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_UPDATE = "webhook.update"
    WEBHOOK_ROTATE = "webhook.rotate"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_REPLAY = "webhook.replay"
    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_UPDATE = "workspace.update"


class AuditOutcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ActorType(StrEnum):
    """What kind of actor that is."""

    KEY = "key"
    CONNECT_SESSION = "connect_session"
    WORKER = WORKER
    OPERATOR = OPERATOR
    UNKNOWN = UNKNOWN


def actor_type(actor: str) -> ActorType:
    """Of an entry's `actor`; `UNKNOWN` for one that a later version wrote, too."""
    if actor.startswith(_KEY):
        return ActorType.KEY
    if actor.startswith(_CONNECT_SESSION):
        return ActorType.CONNECT_SESSION
    return ActorType(actor) if actor in (WORKER, OPERATOR) else ActorType.UNKNOWN


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`actor` is the id of a key or of a connect session, or one of the words above. `target` is the id of what else it
    was done to: a profile, a webhook, a key, a batch. `cause` says in one word why it failed."""

    workspace_id: str
    actor: str
    action: Action
    outcome: AuditOutcome = AuditOutcome.SUCCEEDED
    account_id: str | None = None
    target: str | None = None
    cause: str | None = None
    request_id: str | None = None


class AskedFor(Protocol):
    """A connect task, as far as it says who asked for what."""

    @property
    def workspace_id(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def key_id(self) -> str | None: ...
    @property
    def account_id(self) -> str | None:
        """Of the account that it reconnects."""

    @property
    def connect_session_id(self) -> str | None: ...


def connected(task: AskedFor, account_id: str) -> AuditEntry:
    """A task that has ended with an account."""
    return _ended(task, AuditOutcome.SUCCEEDED, account_id, None)


def not_connected(task: AskedFor, cause: str | None) -> AuditEntry:
    """A task that has ended without one."""
    return _ended(task, AuditOutcome.FAILED, task.account_id, cause)


def _ended(task: AskedFor, outcome: AuditOutcome, account_id: str | None, cause: str | None) -> AuditEntry:
    return AuditEntry(
        task.workspace_id,
        task.connect_session_id or task.key_id or UNKNOWN,
        Action.ACCOUNT_CONNECT if task.account_id is None else Action.ACCOUNT_RECONNECT,
        outcome,
        account_id=account_id,
        cause=cause,
        request_id=task.request_id,
    )
