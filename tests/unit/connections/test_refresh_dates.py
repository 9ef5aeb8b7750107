"""When a session is refreshed next."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.refresh_dates import host_back_in, next_refresh_in, next_turn_in, retry_in

DAY = 86_400.0
HOUR = 3600.0
SECONDS = st.floats(min_value=0, max_value=400 * DAY)


def earliest(low: float, _high: float) -> float:
    return low


def latest(_low: float, high: float) -> float:
    return high


def test_it_is_spread_around_the_interval() -> None:
    assert next_refresh_in(DAY, earliest) == pytest.approx(0.9 * DAY)
    assert next_refresh_in(DAY, latest) == pytest.approx(1.1 * DAY)


@pytest.mark.parametrize(
    ("left", "expected"), [(None, DAY), (90 * DAY, DAY), (10 * HOUR, 5 * HOUR), (20.0, 30.0), (0.0, 30.0)]
)
def test_a_token_that_ends_soon_is_refreshed_at_half_of_what_is_left(left: float | None, expected: float) -> None:
    assert next_refresh_in(DAY, lambda _low, _high: 1.0, token_left=left) == expected


@given(st.floats(min_value=60, max_value=30 * DAY), SECONDS | st.none())
def test_it_is_never_late_and_never_at_once(interval: float, left: float | None) -> None:
    seconds = next_refresh_in(interval, random.uniform, token_left=left)
    assert 30.0 <= seconds <= 1.1 * interval
    assert left is None or seconds <= max(30.0, left / 2)


@pytest.mark.parametrize(("failures", "longest"), [(1, 15), (2, 30), (4, 120), (7, 900), (1000, 900)])
def test_failures_are_retried_later_and_later_within_the_grace(failures: int, longest: float) -> None:
    assert retry_in(failures, latest) == longest
    assert retry_in(failures, earliest) == longest / 2


@given(st.integers(min_value=1, max_value=10_000), SECONDS)
def test_a_limit_is_never_undercut(failures: int, wait: float) -> None:
    least = wait if failures == 1 else min(wait, HOUR / 2)
    assert retry_in(failures, random.uniform, retry_after=wait, is_rate_limit=True) >= least


def test_a_failing_server_cannot_make_a_session_wait_until_its_old_token_is_dead() -> None:
    assert retry_in(1, latest, retry_after=1800.0) >= 1800.0
    assert retry_in(1, latest, retry_after=DAY) < 1.1 * HOUR


def test_turns_are_spread_behind_the_date() -> None:
    assert next_turn_in(3.0, earliest) == 3.0
    assert 3.0 < next_turn_in(3.0, latest) < 10.0
    assert next_turn_in(None, earliest) == 0.0


def test_a_host_that_fails_is_not_asked_by_all_at_once_and_within_the_grace() -> None:
    assert (host_back_in(earliest), host_back_in(latest)) == (90.0, 900.0)


def test_a_rate_limit_after_a_failure_does_not_outlast_the_grace_of_a_token() -> None:
    day = 24 * HOUR
    assert retry_in(1, random.uniform, retry_after=day, is_rate_limit=True) >= day
    assert 3 * retry_in(2, random.uniform, retry_after=day, is_rate_limit=True) < 2 * HOUR
    assert 3 * retry_in(2, random.uniform, retry_after=day) < 2 * HOUR
