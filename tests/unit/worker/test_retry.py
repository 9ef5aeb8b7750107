from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections import errors
from connections.contract import RetryState
from worker.retry import BASE_SECONDS, CAP_SECONDS, Again, History, Stop, backoff, decide, policy_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def longest(_low: float, high: float) -> float:
    return high


def history(
    attempts: int = 1, max_attempts: int = 5, expires_in: float = 120, caller_waits: float | None = None
) -> History:
    return History(
        attempts=attempts,
        max_attempts=max_attempts,
        now=NOW,
        expires_at=NOW + timedelta(seconds=expires_in),
        caller_waits_until=None if caller_waits is None else NOW + timedelta(seconds=caller_waits),
    )


REFUSALS = [
    errors.CredentialsRejected(),
    errors.AlreadyConnected(),
    errors.HandleNotFound(),
    errors.MainPasswordRejected(),
    errors.InternalError(),
    errors.TaskExpired(),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_a_final_answer_is_never_retried(refusal: errors.ConnectorError) -> None:
    decision = decide(refusal, history(), longest)

    assert isinstance(decision, Stop)
    assert decision.state is RetryState.NOT_RETRIABLE


@pytest.mark.parametrize(("attempts", "delay"), [(1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0)])
def test_waits_double(attempts: int, delay: float) -> None:
    assert decide(errors.UpstreamFailed(), history(attempts), longest) == Again(delay)


def test_jitter_is_full() -> None:
    assert decide(errors.UpstreamFailed(), history(4), lambda low, high: low) == Again(0.0)


def test_the_upstream_is_never_asked_earlier_than_it_said() -> None:
    decision = decide(errors.UpstreamFailed(retry_after=7.0), history(), lambda low, high: low)

    assert decision == Again(7.0)


STOPS = {
    "attempts used up": (errors.UpstreamFailed(), history(5, 5), "attempts"),
    "time over": (errors.UpstreamFailed(retry_after=120), history(expires_in=120), "time ends"),
    "the host fails for everyone, and somebody waits": (
        errors.HostFailing(retry_after=1),
        history(caller_waits=25),
        "for everyone",
    ),
    "caller gone before our own limit ends": (errors.RateLimited(retry_after=30), history(caller_waits=25), "outlasts"),
    "caller gone by then": (errors.UpstreamRateLimited(retry_after=30), history(caller_waits=25), "outlasts"),
}


@pytest.mark.parametrize(("error", "past", "reason"), STOPS.values(), ids=STOPS)
def test_stops_when(error: errors.ConnectorError, past: History, reason: str) -> None:
    decision = decide(error, past, longest)

    assert isinstance(decision, Stop)
    assert decision.state is RetryState.EXHAUSTED
    assert reason in decision.reason


def test_a_rate_limit_stop_says_when_to_come_back() -> None:
    decision = decide(errors.UpstreamRateLimited(retry_after=30), history(caller_waits=25), lambda low, high: low)

    assert isinstance(decision, Stop)
    assert decision.retry_at == NOW + timedelta(seconds=30)


GOES_ON = {
    "nobody waits": history(caller_waits=None),
    "the caller left and was promised a retry": history(caller_waits=-1),
    "the caller waits long enough": history(caller_waits=60),
}


@pytest.mark.parametrize("past", GOES_ON.values(), ids=GOES_ON)
def test_a_rate_limit_is_waited_for_when(past: History) -> None:
    assert isinstance(decide(errors.UpstreamRateLimited(retry_after=30), past, longest), Again)


@given(
    attempts=st.integers(1, 200),
    retry_after=st.none() | st.floats(0, 1e6),
    share=st.floats(0, 1),
    expires_in=st.floats(0, 1e6),
)
def test_a_wait_is_bounded_and_ends_in_time(
    attempts: int, retry_after: float | None, share: float, expires_in: float
) -> None:
    past = history(attempts, max_attempts=1000, expires_in=expires_in)
    decision = decide(
        errors.UpstreamFailed(retry_after=retry_after), past, lambda low, high: low + share * (high - low)
    )

    if isinstance(decision, Again):
        assert decision.delay >= (retry_after or 0)
        assert decision.delay <= (retry_after + 1 if retry_after is not None else CAP_SECONDS)
        assert past.now + timedelta(seconds=decision.delay) < past.expires_at


def test_our_own_database_is_given_another_try_too() -> None:
    assert decide(errors.ServiceUnavailable(), history(), longest) == Again(0.25)


@given(attempts=st.integers(1, 10_000))
def test_backoff_stays_between_base_and_cap(attempts: int) -> None:
    assert BASE_SECONDS <= backoff(attempts) <= CAP_SECONDS


def test_the_policy_tells_what_was_decided() -> None:
    again = policy_after(Again(2.0), history(2))
    stop = policy_after(Stop(RetryState.EXHAUSTED, "all attempts are used up"), history(5))

    assert (again.will_retry, again.next_run_at, again.attempts_remaining) == (True, NOW + timedelta(seconds=2), 3)
    assert (stop.will_retry, stop.manual_retry_allowed, stop.attempts_remaining) == (False, True, 0)


def test_nobody_waits_so_the_host_is_given_its_time() -> None:
    assert decide(errors.HostFailing(retry_after=7), history(), lambda low, high: low) == Again(7.0)
