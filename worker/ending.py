"""Ends sessions that their accounts have left behind. Safe to run in many workers at once."""

import random
import time
from collections.abc import Callable, Mapping
from enum import StrEnum

import structlog

from connections.ending import Ending, ends_by_itself, has_run_out
from connections.errors import TemporaryFailure
from connections.repository.ending import RetiredSession
from connections.vault import KeyNotHeld, UnreadableSecret
from worker.metrics import WorkerMetrics
from worker.pace import bulk
from worker.platforms.base import Platform

log = structlog.get_logger()

# No further session is begun after so long: the next message is two seconds away, and finds more threads.
_RUN_SECONDS = 5.0

# For one session, waiting for its turn included.
END_SECONDS = 10.0

LEASE_SECONDS = END_SECONDS + 30.0

BASE_SECONDS = 2.0
CAP_SECONDS = 3600.0


class Ended(StrEnum):
    """How a try went."""

    ENDED = "ended"
    """Its token works no more."""
    FAILED = "failed"
    """To be tried again."""
    GIVEN_UP = "given_up"
    """Its token may work for months, and nobody here will end it."""


class Ender:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        ending: Ending,
        platforms: Mapping[str, Platform],
        metrics: WorkerMetrics | None = None,
        *,
        is_stopping: Callable[[], bool],
        uniform: Callable[[float, float], float] = random.uniform,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Once `is_stopping`, no further session is begun. `uniform(low, high)` is the jitter's source."""
        self._ending = ending
        self._platforms = platforms
        self._metrics = metrics or WorkerMetrics()
        self._is_stopping = is_stopping
        self._uniform = uniform
        self._clock = clock
        for platform in platforms:
            for outcome in Ended:
                self._metrics.session_ended(platform, outcome, count=0)

    def end_sessions(self) -> None:
        """Ends those that are due, one after the other, for some seconds; what is left is for the next run.

        Claimed one by one: whatever becomes of this run, it holds up no other session. Raises `ServiceUnavailable` when
        the database is away: what was claimed is due again after its lease.
        """
        ends_at = self._clock() + _RUN_SECONDS
        # Nobody waits for it, so batches and callers need not wait for it either.
        with bulk():
            while self._clock() < ends_at and not self._is_stopping():
                session = self._ending.claim()
                if session is None:
                    return
                with structlog.contextvars.bound_contextvars(account_id=session.account_id, host=session.host):
                    self._metrics.session_ended(session.platform, self._end(session))

    def _end(self, session: RetiredSession) -> Ended:
        if has_run_out(session):
            return self._run_out(session)
        try:
            token = self._ending.refresh_token(session)
        except KeyNotHeld as error:
            log.warning("session_not_ended", cause="key_not_held", key=error.key_id)
            return self._postpone(session, None)
        except UnreadableSecret:
            return self._give_up(session, "token_unreadable")
        try:
            self._platforms[session.platform].end_retired(
                session.account_id, session.host, token, deadline=self._clock() + END_SECONDS
            )
        except TemporaryFailure as error:
            log.info("session_not_ended", cause=error.code.lower(), attempts=session.attempts + 1)
            return self._postpone(session, error.retry_after)
        self._ending.forget(session)
        log.info("session_ended")
        return Ended.ENDED

    def _run_out(self, session: RetiredSession) -> Ended:
        if not ends_by_itself(session):
            return self._give_up(session, "unconfirmed")
        self._ending.forget(session)
        return Ended.ENDED

    def _postpone(self, session: RetiredSession, retry_after: float | None) -> Ended:
        self._ending.postpone(session, delay_after(session.attempts + 1, retry_after, self._uniform))
        return Ended.FAILED

    def _give_up(self, session: RetiredSession, cause: str) -> Ended:
        """Said aloud, because somebody may want to tell the account's owner to revoke the app password."""
        self._ending.forget(session)
        log.error("session_given_up", cause=cause, attempts=session.attempts)
        return Ended.GIVEN_UP


def delay_after(attempts: int, retry_after: float | None, uniform: Callable[[float, float], float]) -> float:
    """Seconds to the next try after so many: exponential backoff with full jitter (AWS Architecture Blog, "Exponential
    Backoff And Jitter"), behind the instant that the host named, if it did.

    Tries that our own budget or a failing host forbade count as well: ten thousand sessions of one host must not come
    back every few seconds to hear the same.
    """
    return (retry_after or 0.0) + uniform(0.0, min(BASE_SECONDS * 2.0 ** min(attempts - 1, 32), CAP_SECONDS))
