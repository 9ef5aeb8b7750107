"""The documented limits, in a time of their own."""

import pytest

from sandbox.clock import Clock
from sandbox.limits import GLOBAL, LOGIN_5_MINUTES, LOGIN_DAY, Limits, RateLimitExceeded
from sandbox.message import HeaderList

MINUTE = 60
LOGIN = [(LOGIN_DAY, "alice.test-192.0.2.1"), (LOGIN_5_MINUTES, "alice.test-192.0.2.1"), (GLOBAL, "192.0.2.1")]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> Limits:
    return Limits(clock, enabled=True)


def shown(headers: HeaderList) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def spend(limits: Limits, times: int) -> None:
    for _ in range(times):
        limits.consume(LOGIN)


def test_nothing_is_counted_or_shown_while_switched_off(clock: Clock) -> None:
    off = Limits(clock)
    assert off.consume(LOGIN) == []
    off.enabled = True
    assert shown(off.consume(LOGIN))["RateLimit-Remaining"] == "29"


def test_the_tightest_limit_is_shown(limits: Limits) -> None:
    headers = shown(limits.consume(LOGIN))
    assert headers["RateLimit-Limit"] == "30"
    assert headers["RateLimit-Remaining"] == "29"
    assert headers["RateLimit-Policy"] == "30;w=300"


def test_the_thirty_first_is_refused_until_the_window_ends(limits: Limits, clock: Clock) -> None:
    spend(limits, 30)
    with pytest.raises(RateLimitExceeded) as refused:
        limits.consume(LOGIN)
    headers = shown(refused.value.headers)
    assert (headers["RateLimit-Remaining"], headers["RateLimit-Policy"]) == ("0", "30;w=300")
    assert 4 * MINUTE < int(headers["RateLimit-Reset"]) - clock.now() <= 5 * MINUTE

    clock.advance(5 * MINUTE)
    assert shown(limits.consume(LOGIN))["RateLimit-Remaining"] == "29"


def test_refused_attempts_count_towards_the_day(limits: Limits, clock: Clock) -> None:
    for _ in range(7):
        for _ in range(40):
            try:
                limits.consume(LOGIN)
            except RateLimitExceeded:
                continue
        clock.advance(5 * MINUTE)
    spend(limits, 20)
    with pytest.raises(RateLimitExceeded) as refused:
        limits.consume(LOGIN)
    assert shown(refused.value.headers)["RateLimit-Policy"] == "300;w=86400"


def test_buckets_are_separate(limits: Limits) -> None:
    spend(limits, 30)
    other = [(LOGIN_5_MINUTES, "ALICE.test-192.0.2.1"), (GLOBAL, "192.0.2.1")]
    assert shown(limits.consume(other))["RateLimit-Remaining"] == "29"


def test_all_requests_of_one_address_share_one_limit(limits: Limits) -> None:
    for number in range(3000):
        limits.consume([(LOGIN_5_MINUTES, str(number)), (GLOBAL, "192.0.2.1")])
    with pytest.raises(RateLimitExceeded) as refused:
        limits.consume([(LOGIN_5_MINUTES, "fresh"), (GLOBAL, "192.0.2.1")])
    assert shown(refused.value.headers)["RateLimit-Limit"] == "3000"


def test_a_scale_shortens_every_window(clock: Clock) -> None:
    limits = Limits(clock, enabled=True, scale=0.01)
    spend(limits, 30)
    clock.advance(3)
    headers = shown(limits.consume(LOGIN))
    assert (headers["RateLimit-Remaining"], headers["RateLimit-Policy"]) == ("29", "30;w=3")


def test_newer_servers_say_when_to_come_back(clock: Clock) -> None:
    limits = Limits(clock, enabled=True, retry_after=True)
    assert "Retry-After" not in shown(limits.consume(LOGIN))
    spend(limits, 29)
    with pytest.raises(RateLimitExceeded) as refused:
        limits.consume(LOGIN)
    assert 4 * MINUTE < int(shown(refused.value.headers)["Retry-After"]) <= 5 * MINUTE


def test_past_windows_are_forgotten(limits: Limits, clock: Clock) -> None:
    for number in range(20_000):
        limits.consume([(LOGIN_5_MINUTES, str(number))])
        clock.advance(1)
    assert len(limits._windows) < 11_000
