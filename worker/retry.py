"""Stop, or wait how long: one pure function, so that every rule of retrying is in one table of tests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connections.contract import RetryPolicy, RetryState
from connections.errors import (
    ConnectorError,
    HostFailing,
    RateLimited,
    ServiceUnavailable,
    TemporaryFailure,
    UpstreamRateLimited,
)

# The platform's failures, our own database's, and limits: all pass.
RETRIED = (TemporaryFailure, ServiceUnavailable, RateLimited)

# What a caller who waits is told at once when it outlasts the wait.
_LIMITS = (UpstreamRateLimited, RateLimited)

BASE_SECONDS = 0.25
CAP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class History:
    """What is known when an attempt has failed. `now` and the instants are by the database's clock.

    `attempts` are those that count, `ConnectorError.uses_attempt`.
    """

    attempts: int
    max_attempts: int
    now: datetime
    expires_at: datetime
    caller_waits_until: datetime | None


@dataclass(frozen=True, slots=True)
class Stop:
    """No further attempt. `retry_at` is when a caller who asks again may fare better, if the upstream said so."""

    state: RetryState
    reason: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt in `delay` seconds."""

    delay: float


def decide(error: ConnectorError, history: History, uniform: Callable[[float, float], float]) -> Stop | Again:
    """`uniform(low, high)` is the jitter's source.

    Waits follow exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), and
    never undercut what the upstream asked for.
    """
    if not isinstance(error, RETRIED):
        return Stop(RetryState.NOT_RETRIABLE, "the answer is final")
    delay = uniform(0.0, backoff(history.attempts))
    if error.retry_after is not None:
        # Spread out behind the instant the upstream named, so that a thousand waiting rows do not knock at once.
        delay = error.retry_after + uniform(0.0, min(1.0, backoff(history.attempts)))
    retry_at = history.now + timedelta(seconds=delay)
    hint = retry_at if error.retry_after is not None else None
    if history.attempts >= history.max_attempts:
        return Stop(RetryState.EXHAUSTED, "all attempts are used up", hint)
    if retry_at >= history.expires_at:
        return Stop(RetryState.EXHAUSTED, "the task's time ends before the next attempt could start", hint)
    waited_for_until = _waited_for_until(history)
    if waited_for_until is not None:
        if isinstance(error, HostFailing):
            return Stop(RetryState.EXHAUSTED, "a server that is needed is failing for everyone", hint)
        if isinstance(error, _LIMITS) and retry_at > waited_for_until:
            return Stop(RetryState.EXHAUSTED, "the rate limit outlasts the caller's wait", hint)
    return Again(delay)


def backoff(attempts: int) -> float:
    """The longest wait, in seconds, after so many attempts."""
    return min(BASE_SECONDS * 2.0 ** min(attempts - 1, 32), CAP_SECONDS)


def policy_after(decision: Stop | Again, history: History) -> RetryPolicy:
    """The wire's account of the decision."""
    attempts, max_attempts = history.attempts, history.max_attempts
    match decision:
        case Again(delay):
            next_run_at = history.now + timedelta(seconds=delay)
            return RetryPolicy.of(
                RetryState.SCHEDULED, attempts=attempts, max_attempts=max_attempts, next_run_at=next_run_at
            )
        case Stop(state, reason):
            return RetryPolicy.of(state, attempts=attempts, max_attempts=max_attempts, reason=reason)


def _waited_for_until(history: History) -> datetime | None:
    """None when nobody waits: a caller who has left already was told that the task goes on, so it does."""
    until = history.caller_waits_until
    return until if until is not None and history.now < until else None
