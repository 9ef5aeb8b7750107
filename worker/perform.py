"""One connection attempt, from claim to settled."""

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import structlog

from connections.errors import ConnectorError, InternalError, ServiceUnavailable, TemporaryFailure
from connections.outcome import Outcome
from connections.repository.tasks import ClaimedTask
from connections.settlement import Settlement
from connections.verified import VerifiedAccount
from worker.announce import Announcer
from worker.login_limits import LoginLimits
from worker.platforms.base import Platform
from worker.retry import RETRIED, Again, History, Stop, decide, policy_after

log = structlog.get_logger()

# Somebody may be waiting, so a thread may sleep this long for the next attempt. Longer waits leave no thread behind.
SHORT_WAIT_SECONDS = 2.0

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
    ) -> None:
        """`attempt_seconds` is the total deadline of one attempt; once `is_stopping`, no further one begins here."""
        self._settlement = settlement
        self._platforms = platforms
        self._announcer = announcer
        self._login_limits = login_limits
        self._attempt_seconds = attempt_seconds
        self._is_stopping = is_stopping
        self._uniform = uniform
        self._pause = pause

    def perform(self, task_id: str) -> None:
        """Attempts until the task is settled, taken by somebody else, due only later, or this worker is to stop.

        Performing a task that is settled or taken does nothing. Raises `ServiceUnavailable` when the database is away:
        the row stays as it is and the sweep brings it back.
        """
        while (delay := self._attempt(task_id)) is not None and delay <= SHORT_WAIT_SECONDS and not self._is_stopping():
            self._pause(delay)

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
        credentials = self._settlement.open_credentials(task)
        with self._login_limits.count(task) as count_login:

            def before_login(external_id: str, name: str | None) -> None:
                self._settlement.refuse_if_connected(task, external_id, name)
                count_login(external_id)

            verified = platform.connect(
                credentials, deadline=started + self._attempt_seconds, before_login=before_login
            )
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
        body = error.describe(policy_after(decision, history) if isinstance(error, RETRIED) else None)
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
                outcome = Outcome.of_error(body)
                postpone = partial(self._settlement.postpone, task, outcome, delay, uses_attempt=error.uses_attempt)
                return delay if self._insist(postpone, started) else None
            case Stop(retry_at=retry_at):
                if self._insist(partial(self._settlement.fail, task, Outcome.of_error(body, retry_at)), started):
                    self._announcer.settled(task.id, task.reply_to)
                return None


def _end_session(platform: Platform, verified: VerifiedAccount) -> None:
    """A session that is not kept is ended; if the platform does not confirm, it ends by itself in 90 days."""
    try:
        platform.end_session(verified, deadline=time.monotonic() + _END_SESSION_SECONDS)
    except TemporaryFailure as error:
        log.warning("session_not_ended", host=verified.host, cause=error.code)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
