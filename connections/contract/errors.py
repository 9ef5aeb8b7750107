"""Errors as callers see them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self

from connections.contract.base import Maybe, Timestamp, WireModel


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
