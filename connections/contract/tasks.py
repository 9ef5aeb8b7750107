"""Connect tasks, for callers that poll."""

from enum import StrEnum

from connections.contract.accounts import Account
from connections.contract.base import Timestamp, WireModel
from connections.contract.errors import ErrorBody


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
