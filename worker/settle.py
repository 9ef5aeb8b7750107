"""What becomes of an attempt: its account is kept, or its error decides whether and when there is another one."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import NamedTuple

import structlog

from connections import tracing
from connections.contract import ErrorBody
from connections.errors import (
    ConnectorError,
    OutOfBudget,
    ServiceUnavailable,
    TemporaryFailure,
    UpstreamFailed,
)
from connections.outcome import Outcome
from connections.repository.attempts import ClaimedTask
from connections.settlement import Settlement
from connections.verified import VerifiedAccount
from worker import spans
from worker.announce import Announcer
from worker.metrics import CONNECTED, WorkerMetrics
from worker.platforms.base import Platform
from worker.retry import RETRIED, Again, History, Stop, decide, policy_after

log = structlog.get_logger()

_END_SESSION_SECONDS = 5.0

# Between tries to settle; and the end of the lease is not waited for to the last moment.
_DATABASE_PAUSE_SECONDS = 1.0
_LEASE_MARGIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Held:
    """A task that is this thread's. It was `claimed`, its attempt `started`, and it is lost when its `lease_ends`: all
    of them `time.monotonic()` instants.
    """

    task: ClaimedTask
    claimed: float
    started: float
    lease_ends: float


class Verified(NamedTuple):
    """An account whose login was made for this task."""

    held: Held
    account: VerifiedAccount


class Settler:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        settlement: Settlement,
        platforms: Mapping[str, Platform],
        announcer: Announcer,
        *,
        is_stopping: Callable[[], bool],
        uniform: Callable[[float, float], float] = random.uniform,
        pause: Callable[[float], None] = time.sleep,
        batch_retry_seconds: float,
        metrics: WorkerMetrics,
    ) -> None:
        """Once `is_stopping`, a database that is away is not waited for.

        A row of a batch is tried for `batch_retry_seconds` at a server that fails.
        """
        self._settlement = settlement
        self._platforms = platforms
        self._announcer = announcer
        self._is_stopping = is_stopping
        self._uniform = uniform
        self._pause = pause
        self._batch_retry_seconds = batch_retry_seconds
        self._metrics = metrics

    def keep(self, held: Held, verified: VerifiedAccount) -> None:
        """Stores an account, or ends its session if another worker has taken the task over.

        Raises `AlreadyConnected`, with its session ended, and `ServiceUnavailable`.
        """
        task = held.task
        try:
            is_kept = self._insist(partial(self._settlement.succeed, task, verified), held)
        except ServiceUnavailable:
            # It may have been stored and only the confirmation lost. A session too many ends by itself; an account
            # without its session would not work.
            raise
        except Exception:
            # Refused or a bug: whatever it is, the account was not stored.
            self._end_session(task, verified)
            raise
        if is_kept:
            spans.ended("succeeded")
            self._told(held)
        else:
            spans.ended("lease_lost")
            self._end_session(task, verified)
            self._metrics.lease_lost()
            log.warning("lease_lost", platform=task.platform, attempt=task.attempts)

    def keep_all(self, rows: Sequence[Verified]) -> bool:
        """Stores the accounts of rows that were claimed together in one transaction.

        False, and nothing stored, when one of them is in the way: then they are to be kept one by one. Raises
        `ServiceUnavailable`.
        """
        successes = [(row.held.task, row.account) for row in rows]
        if not self._insist(partial(self._settlement.succeed_all, successes), rows[0].held):
            return False
        for held, _ in rows:
            with structlog.contextvars.bound_contextvars(task_id=held.task.id, request_id=held.task.request_id):
                self._told(held)
        return True

    def fail(self, held: Held, error: ConnectorError) -> float | None:
        """Ends the task with its error, or plans the next attempt: in how many seconds, None when there is none."""
        task = held.task
        history = History(
            attempts=task.attempts if error.uses_attempt else task.attempts - 1,
            max_attempts=task.max_attempts,
            now=task.claimed_at + timedelta(seconds=time.monotonic() - held.claimed),
            expires_at=task.expires_at,
            caller_waits_until=task.caller_waits_until,
        )
        decision = decide(error, history, self._uniform)
        policy = policy_after(decision, history) if isinstance(error, RETRIED) else None
        last = _last_failure(task, error)
        body = error.describe(policy) if last is None else last.model_copy(update={"retry_policy": policy})
        cause = tracing.cause_of(error)
        self._metrics.attempted(task.platform, cause, time.monotonic() - held.started)
        log.info(
            "connect_failed",
            platform=task.platform,
            attempt=task.attempts,
            code=error.code,
            issues=[issue.code for issue in error.issues],
            provider=error.provider and error.provider.model_dump(exclude_none=True),
            will_retry=isinstance(decision, Again),
            seconds=_since(held.started),
        )
        spans.failed(error, cause, "retrying" if isinstance(decision, Again) else "failed")
        match decision:
            case Again(delay):
                self._metrics.retried(task.platform, cause)
                has_to_tell = history.attempts or last or not (task.batch_id and _is_hosts_pace(error))
                postpone = partial(
                    self._settlement.postpone,
                    task,
                    Outcome.of_error(body) if has_to_tell else None,
                    delay,
                    uses_attempt=error.uses_attempt,
                    expires_in=self._lives_on(task, error),
                    lane=error.host or None if isinstance(error, OutOfBudget) else None,
                )
                return delay if self._insist(postpone, held) else None
            case Stop(retry_at=retry_at):
                if self._insist(partial(self._settlement.fail, task, Outcome.of_error(body, retry_at)), held):
                    self._announcer.settled(task.id, task.reply_to)
                return None

    def _told(self, held: Held) -> None:
        task = held.task
        self._announcer.settled(task.id, task.reply_to)
        self._metrics.attempted(task.platform, CONNECTED, time.monotonic() - held.started)
        log.info("account_connected", platform=task.platform, attempt=task.attempts, seconds=_since(held.started))

    def _insist(self, settle: Callable[[], bool], held: Held) -> bool:
        """Settles although the database is away for a moment, as long as the lease lasts: a login that was made is not
        made again. Settling twice is settling once.
        """
        while True:
            try:
                with tracing.span("settle"):
                    return settle()
            except ServiceUnavailable:
                gives_up_at = held.lease_ends - _LEASE_MARGIN_SECONDS
                if time.monotonic() + _DATABASE_PAUSE_SECONDS > gives_up_at or self._is_stopping():
                    raise
            self._pause(_DATABASE_PAUSE_SECONDS)

    def _lives_on(self, task: ClaimedTask, error: ConnectorError) -> float | None:
        """For how many seconds at most the task goes on; None when the error says nothing about that."""
        is_bounded = task.batch_id is not None and isinstance(error, UpstreamFailed)
        return self._batch_retry_seconds if is_bounded else None

    def _end_session(self, task: ClaimedTask, verified: VerifiedAccount) -> None:
        """A session that is not kept is ended; if the platform does not confirm, it ends by itself in 90 days."""
        try:
            self._platforms[task.platform].end_session(verified, deadline=time.monotonic() + _END_SESSION_SECONDS)
        except TemporaryFailure as error:
            log.warning("session_not_ended", host=verified.host, cause=error.code)


def _is_hosts_pace(error: ConnectorError) -> bool:
    """Whether a row of a batch only waits for its turn, as it did before somebody looked where it leads."""
    return isinstance(error, OutOfBudget) and bool(error.host)


def _last_failure(task: ClaimedTask, error: ConnectorError) -> ErrorBody | None:
    """What the server of a row of a batch has failed with, when `error` only says that it was not asked again."""
    if task.batch_id is None or not isinstance(error, OutOfBudget):
        return None
    last = Outcome.from_row(task.outcome).error
    return last if last is not None and last.code == UpstreamFailed.code else None


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
