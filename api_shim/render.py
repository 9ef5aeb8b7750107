"""From a task's row to what the wire says of it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.responses import Response

from api_shim.answers import json_answer
from api_shim.errors import error_answer, status_of
from api_shim.prefer import Preferences
from connections.contract import (
    Account,
    AccountAnswer,
    ErrorBody,
    RetryPolicy,
    RetryState,
    Task,
    TaskAnswer,
    TaskError,
    TaskStatus,
)
from connections.errors import ConnectTimeout, InternalError
from connections.outcome import Outcome
from connections.repository.tasks import TaskRow

# How soon to poll again when nothing says that it would be in vain.
_POLL_AFTER_SECONDS = 1.0
_POLL_AFTER_CAP_SECONDS = 60.0


def connect_answer(row: TaskRow, request_id: str, preferences: Preferences) -> Response:
    """The outcome; or, when there is none yet or the caller asked for the task instead, what it asked for."""
    headers = preferences.headers()
    if row.status.is_final and not preferences.at_once:
        return _outcome_answer(row, request_id, headers)
    location = {"Location": f"/v1/connect/tasks/{row.id}"}
    if preferences.accept_pending:
        return task_answer(row, request_id, status=202, headers=headers | location)
    timeout = ConnectTimeout(hint=_last_error(row), details={"task_id": row.id}).describe(_retry_policy(row))
    return error_answer(timeout, request_id, retry_after=_poll_after(row), headers=location)


def task_answer(
    row: TaskRow, request_id: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The task object; while it is unfinished with `Retry-After`."""
    answer = json_answer(TaskAnswer(data=task(row), request_id=request_id), status, headers)
    if not row.status.is_final:
        answer.headers["Retry-After"] = str(math.ceil(_poll_after(row)))
    return answer


def task(row: TaskRow) -> Task:
    """The task as pollers see it; the error of a retrying one is that of its last attempt."""
    outcome = Outcome.from_row(row.outcome)
    return Task(
        id=row.id,
        status=row.status,
        platform=row.platform,
        profile_id=row.profile_id,
        batch_id=row.batch_id,
        attempts=row.attempts,
        next_attempt_at=_next_attempt_at(row),
        created_at=row.created_at,
        finished_at=row.finished_at,
        account=outcome.account,
        error=outcome.error and task_error(outcome.error),
    )


def account_answer(account: Account, request_id: str) -> AccountAnswer:
    return AccountAnswer(**account.model_dump(include=_DOCUMENTED), data=account, request_id=request_id)


_DOCUMENTED = set(AccountAnswer.model_fields) - {"data", "request_id"}


def _outcome_answer(row: TaskRow, request_id: str, headers: Mapping[str, str]) -> Response:
    outcome = Outcome.from_row(row.outcome)
    if outcome.account is not None:
        status = 201 if row.account_id is None else 200
        return json_answer(account_answer(outcome.account, request_id), status, headers)
    assert row.finished_at is not None
    return error_answer(
        outcome.error or InternalError().describe(),
        request_id,
        retry_after=None if outcome.retry_at is None else (outcome.retry_at - row.finished_at).total_seconds(),
        age=-_seconds_until(row.finished_at),
        headers=headers,
    )


def task_error(error: ErrorBody) -> TaskError:
    """The error with the status it would have had."""
    return TaskError(**dict(error), http_status=status_of(error.code))


def _last_error(row: TaskRow) -> str | None:
    """Why the task has not ended yet, as far as an attempt has found out."""
    error = Outcome.from_row(row.outcome).error
    return None if error is None else f"The last attempt ended with: {error.message}"


def _retry_policy(row: TaskRow) -> RetryPolicy:
    return RetryPolicy.of(
        RetryState.SCHEDULED,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        next_run_at=_next_attempt_at(row),
    )


def _next_attempt_at(row: TaskRow) -> datetime | None:
    return row.available_at if row.status is TaskStatus.RETRYING else None


def _poll_after(row: TaskRow) -> float:
    """Seconds; while the task waits for its next attempt there is nothing new to see."""
    next_attempt = _next_attempt_at(row)
    due_in = 0.0 if next_attempt is None else _seconds_until(next_attempt)
    return min(max(due_in, _POLL_AFTER_SECONDS), _POLL_AFTER_CAP_SECONDS)


def _seconds_until(moment: datetime) -> float:
    return (moment - datetime.now(UTC)).total_seconds()
