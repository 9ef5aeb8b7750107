"""Batches, their progress and the results of their rows."""

from enum import StrEnum

from connections.contract.accounts import Account
from connections.contract.base import Maybe, PageMeta, Timestamp, WireModel
from connections.contract.errors import Issue
from connections.contract.tasks import TaskError


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


class BatchResultsAnswer(WireModel):
    data: list[BatchResult]
    meta: PageMeta
    request_id: str
