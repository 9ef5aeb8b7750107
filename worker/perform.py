"""One connection attempt, from claim to settled."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import structlog

from connections.contract import ErrorBody
from connections.errors import (
    ConnectorError,
    InternalError,
    OutOfBudget,
    ServiceUnavailable,
    TemporaryFailure,
    UpstreamFailed,
    UpstreamRateLimited,
)
from connections.outcome import Outcome
from connections.repository.tasks import ClaimedTask
from connections.settlement import Settlement
from connections.verified import VerifiedAccount
from worker.announce import Announcer
from worker.login_limits import LoginLimits
from worker.pace import bulk
from worker.platforms.base import Platform
from worker.retry import RETRIED, Again, History, Stop, decide, policy_after

log = structlog.get_logger()

# Somebody may be waiting, so a thread may sleep this long for the next attempt. Longer waits leave no thread behind.
SHORT_WAIT_SECONDS = 2.0

# A message with rows of a batch is at an end by then, whatever is left of it; the row under way is finished.
_ROWS_SECONDS = 5.0

_END_SESSION_SECONDS = 5.0

# Between tries to settle; and the end of the lease is not waited for to the last moment.
_DATABASE_PAUSE_SECONDS = 1.0
_LEASE_MARGIN_SECONDS = 2.0


class Performer:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        settlement: Settlement,
        platforms: Mapping[str, Platform],
        announcer: Announcer,
        login_limits: LoginLimits,
        *,
        attempt_seconds: float,
        is_stopping: Callable[[], bool],
        uniform: Callable[[float, float], float] = random.uniform,
        pause: Callable[[float], None] = time.sleep,
        batch_retry_seconds: float = 900.0,
    ) -> None:
        """`attempt_seconds` is the total deadline of one attempt; once `is_stopping`, no further one begins here.

        A row of a batch is tried for `batch_retry_seconds` at a server that fails.
        """
        self._settlement = settlement
        self._platforms = platforms
        self._announcer = announcer
        self._login_limits = login_limits
        self._attempt_seconds = attempt_seconds
        self._is_stopping = is_stopping
        self._uniform = uniform
        self._pause = pause
        self._batch_retry_seconds = batch_retry_seconds

    def perform(self, task_id: str) -> None:
        """Attempts until the task is settled, taken by somebody else, due only later, or this worker is to stop.

        Performing a task that is settled or taken does nothing. Raises `ServiceUnavailable` when the database is away:
        the row stays as it is and the sweep brings it back.
        """
        while (delay := self._attempt(task_id)) is not None and delay <= SHORT_WAIT_SECONDS and not self._is_stopping():
            self._pause(delay)

    def perform_rows(self, task_ids: Sequence[str]) -> None:
        """Makes one attempt at each row of a batch, one after the other; what would take too long is given back.

        A row that fails waits in the table, never here: the dispatcher knows when its turn is. Raises
        `ServiceUnavailable` as `perform` does.
        """
        ends_at = time.monotonic() + _ROWS_SECONDS
        with self._settlement.carrying(task_ids), bulk():
            for number, task_id in enumerate(task_ids):
                if self._is_stopping() or time.monotonic() > ends_at:
                    self._settlement.give_back(task_ids[number:])
                    return
                self._attempt(task_id)

    def _attempt(self, task_id: str) -> float | None:
        """Seconds until the next attempt, None when there is none to make here."""
        task = self._settlement.claim(task_id)
        if task is None:
            return None
        if task.claimed_at >= task.expires_at:
            if self._settlement.expire(task):
                self._announcer.settled(task.id, task.reply_to)
            return None
        started = time.monotonic()
        with structlog.contextvars.bound_contextvars(task_id=task.id, request_id=task.request_id):
            if task.attempts > task.max_attempts:
                # The last attempt ended with its process. Whatever it is that ends them must not go round all workers.
                log.error("attempts_lost", platform=task.platform, attempts=task.attempts - 1)
                return self._settle_error(task, InternalError(), started)
            try:
                self._connect(task, started)
            except ConnectorError as error:
                return self._settle_error(task, error, started)
            except Exception:
                # The one place that settles: a bug of ours ends the task with an answer instead of a silence.
                log.exception("connect_crashed", platform=task.platform, attempt=task.attempts)
                return self._settle_error(task, InternalError(), started)
        return None

    def _connect(self, task: ClaimedTask, started: float) -> None:
        platform = self._platforms[task.platform]
        verified = self._verify(task, platform, started)
        try:
            is_kept = self._insist(partial(self._settlement.succeed, task, verified), started)
        except ServiceUnavailable:
            # It may have been stored and only the confirmation lost. A session too many ends by itself; an account
            # without its session would not work.
            raise
        except Exception:
            # Refused or a bug: whatever it is, the account was not stored.
            _end_session(platform, verified)
            raise
        if is_kept:
            self._announcer.settled(task.id, task.reply_to)
            log.info("account_connected", platform=task.platform, attempt=task.attempts, seconds=_since(started))
        else:
            _end_session(platform, verified)
            log.warning("lease_lost", platform=task.platform, attempt=task.attempts)

    def _verify(self, task: ClaimedTask, platform: Platform, started: float) -> VerifiedAccount:
        credentials = self._settlement.open_credentials(task)
        accounts: list[tuple[str, str | None]] = []
        try:
            with self._login_limits.count(task) as count_login:

                def before_login(external_id: str, name: str | None) -> None:
                    accounts.append((external_id, name))
                    if task.batch_id is not None:
                        # Saves the login of a row that was sent before. A single request is logged in all the same, so
                        # that a wrong password is always told as such; the conflict is found when it is stored.
                        self._settlement.refuse_if_connected(task, external_id, name)
                    count_login(external_id)

                return platform.connect(
                    credentials, deadline=started + self._attempt_seconds, before_login=before_login
                )
        except UpstreamRateLimited:
            # There is no login to be had for a while. That the account is connected can be told without one.
            if accounts:
                self._settlement.refuse_if_connected(task, *accounts[-1])
            raise

    def _lives_on(self, task: ClaimedTask, error: ConnectorError) -> float | None:
        """For how many seconds at most the task goes on; None when the error says nothing about that."""
        is_bounded = task.batch_id is not None and isinstance(error, UpstreamFailed)
        return self._batch_retry_seconds if is_bounded else None

    def _insist(self, settle: Callable[[], bool], started: float) -> bool:
        """Settles although the database is away for a moment, as long as the lease lasts: a login that was made is not
        made again. Settling twice is settling once.
        """
        gives_up_at = started + self._settlement.lease_seconds - _LEASE_MARGIN_SECONDS
        while True:
            try:
                return settle()
            except ServiceUnavailable:
                if time.monotonic() + _DATABASE_PAUSE_SECONDS > gives_up_at or self._is_stopping():
                    raise
            self._pause(_DATABASE_PAUSE_SECONDS)

    def _settle_error(self, task: ClaimedTask, error: ConnectorError, started: float) -> float | None:
        history = History(
            attempts=task.attempts if error.uses_attempt else task.attempts - 1,
            max_attempts=task.max_attempts,
            now=task.claimed_at + timedelta(seconds=time.monotonic() - started),
            expires_at=task.expires_at,
            caller_waits_until=task.caller_waits_until,
        )
        decision = decide(error, history, self._uniform)
        policy = policy_after(decision, history) if isinstance(error, RETRIED) else None
        last = _last_failure(task, error)
        body = error.describe(policy) if last is None else last.model_copy(update={"retry_policy": policy})
        log.info(
            "connect_failed",
            platform=task.platform,
            attempt=task.attempts,
            code=error.code,
            issues=[issue.code for issue in error.issues],
            provider=error.provider and error.provider.model_dump(exclude_none=True),
            will_retry=isinstance(decision, Again),
            seconds=_since(started),
        )
        match decision:
            case Again(delay):
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
                return delay if self._insist(postpone, started) else None
            case Stop(retry_at=retry_at):
                if self._insist(partial(self._settlement.fail, task, Outcome.of_error(body, retry_at)), started):
                    self._announcer.settled(task.id, task.reply_to)
                return None


def _is_hosts_pace(error: ConnectorError) -> bool:
    """Whether a row of a batch only waits for its turn, as it did before somebody looked where it leads."""
    return isinstance(error, OutOfBudget) and bool(error.host)


def _last_failure(task: ClaimedTask, error: ConnectorError) -> ErrorBody | None:
    """What the server of a row of a batch has failed with, when `error` only says that it was not asked again."""
    if task.batch_id is None or not isinstance(error, OutOfBudget):
        return None
    last = Outcome.from_row(task.outcome).error
    return last if last is not None and last.code == UpstreamFailed.code else None


def _end_session(platform: Platform, verified: VerifiedAccount) -> None:
    """A session that is not kept is ended; if the platform does not confirm, it ends by itself in 90 days."""
    try:
        platform.end_session(verified, deadline=time.monotonic() + _END_SESSION_SECONDS)
    except TemporaryFailure as error:
        log.warning("session_not_ended", host=verified.host, cause=error.code)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
