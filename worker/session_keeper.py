"""Refreshes one account's session, from claimed to settled."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from connections import tracing
from connections.errors import (
    ConnectorError,
    InternalError,
    KeyUnavailable,
    OutOfBudget,
    Refusal,
    ServiceUnavailable,
    UpstreamRateLimited,
)
from connections.keeping import Keeping, Kept, PutOff
from connections.refresh_dates import next_refresh_in, next_turn_in, retry_in, token_left
from connections.repository.refreshing import ClaimedAccount
from connections.verified import Refreshed, StoredAccount
from worker import spans
from worker.metrics import WorkerMetrics
from worker.platforms.base import Platform

log = structlog.get_logger()

# What storing may take on top of an attempt: a lease must outlive both. Between tries to store, and before its end.
_STORING_SECONDS = 15.0
_DATABASE_PAUSE_SECONDS = 1.0
_LEASE_MARGIN_SECONDS = 2.0

# A new session that was refreshed is called so in metrics, and one that came too late for its account.
_REFRESHED = "refreshed"
_LOST = "lost"


@dataclass(frozen=True, slots=True)
class Held:
    """An account that is this thread's until its `lease_ends`, a `time.monotonic()` instant."""

    account: ClaimedAccount
    lease_ends: float


class SessionKeeper:
    """One per worker process, used by its threads."""

    def __init__(
        self,
        keeping: Keeping,
        platforms: Mapping[str, Platform],
        *,
        every: float,
        attempt_seconds: float,
        is_stopping: Callable[[], bool],
        pause: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        """A session is refreshed `every` so many seconds, each within `attempt_seconds`. Once `is_stopping`, a database
        that is away is not waited for."""
        self.keeping = keeping
        self._platforms = platforms
        self._every = every
        self._attempt_seconds = attempt_seconds
        self._is_stopping = is_stopping
        self._pause = pause
        self._uniform = uniform
        self._metrics = metrics or WorkerMetrics()

    @property
    def lease_seconds(self) -> float:
        """How long an account is claimed for that is begun at once."""
        return self._attempt_seconds + _STORING_SECONDS

    def refresh(self, held: Held, *, deadline: float | None = None) -> Refreshed | None:
        """None when the account is not the claim's any more.

        Raises what it failed with, once that is noted: a `Refusal` has ended the session, anything else has not. Within
        `deadline`, a `time.monotonic()` instant, if that is sooner than what an attempt may take. Raises
        `ServiceUnavailable` when the database is away: the account is asked about again, with the same token.
        """
        attempt_ends = time.monotonic() + self._attempt_seconds
        account = held.account
        with (
            structlog.contextvars.bound_contextvars(account_id=account.id),
            spans.refresh(account.id, account.platform),
        ):
            try:
                used = self.keeping.open(account)
                refreshed = self._platforms[account.platform].refresh(
                    used, deadline=attempt_ends if deadline is None else min(deadline, attempt_ends)
                )
            except ConnectorError as error:
                self._failed(account, error)
                raise
            except Exception as bug:
                # A bug of ours, or a token that cannot be read. The lease would end, and this account come first again.
                log.exception("refresh_crashed", platform=account.platform)
                failure = InternalError()
                self._failed(account, failure)
                raise failure from bug
            return self._kept(held, used, refreshed)

    def _kept(self, held: Held, used: StoredAccount, refreshed: Refreshed) -> Refreshed | None:
        encrypted = self.keeping.encrypt(held.account, refreshed)
        left = token_left(refreshed.session, time.time())
        refresh_in = next_refresh_in(self._every, self._uniform, token_left=left)
        store = partial(self.keeping.store, held.account, used, refreshed, encrypted, refresh_in=refresh_in)
        kept = self._insist(store, held)
        spans.ended(_REFRESHED if kept is Kept.STORED else _LOST)
        if kept is Kept.STORED:
            self._metrics.refreshed(held.account.platform, _REFRESHED)
            log.debug("session_refreshed", platform=held.account.platform, standing=refreshed.standing)
            return refreshed
        self._metrics.refreshed(held.account.platform, _LOST)
        log.warning("refresh_lost", platform=held.account.platform, became=kept)
        return None

    def _insist(self, store: Callable[[], Kept], held: Held) -> Kept:
        """Stores although the database is away for a moment, as long as the lease lasts."""
        while True:
            try:
                return store()
            except ServiceUnavailable:
                gives_up_at = held.lease_ends - _LEASE_MARGIN_SECONDS
                if time.monotonic() + _DATABASE_PAUSE_SECONDS > gives_up_at or self._is_stopping():
                    raise
            self._pause(_DATABASE_PAUSE_SECONDS)

    def _failed(self, account: ClaimedAccount, error: ConnectorError) -> None:
        """Ends the session when the platform has, and else plans the next try."""
        cause = tracing.cause_of(error)
        self._metrics.refreshed(account.platform, cause)
        spans.failed(error, cause, "refused" if isinstance(error, Refusal) else "failed")
        match error:
            case Refusal():
                if self.keeping.give_up(account, error):
                    log.info("reconnect_required", **_told(account, error, cause))
            case OutOfBudget() | KeyUnavailable():
                self.keeping.put_off([PutOff(account, next_turn_in(error.retry_after, self._uniform))])
            case _:
                log.info("refresh_failed", failures=account.failures + 1, **_told(account, error, cause))
                self.keeping.fail(account, error, retry_in=self._retry_in(account, error))

    def _retry_in(self, account: ClaimedAccount, error: ConnectorError) -> float:
        return retry_in(
            account.failures + 1,
            self._uniform,
            retry_after=error.retry_after,
            is_rate_limit=isinstance(error, UpstreamRateLimited),
        )


def _told(account: ClaimedAccount, error: ConnectorError, cause: str) -> dict[str, Any]:
    provider = error.provider and error.provider.model_dump(exclude_none=True)
    return {"platform": account.platform, "host": account.host, "cause": cause, "provider": provider}
