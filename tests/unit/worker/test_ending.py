"""When a session that could not be ended is tried again."""

from itertools import pairwise

import pytest

from worker.ending import BASE_SECONDS, CAP_SECONDS, delay_after


def longest(_low: float, high: float) -> float:
    return high


def test_waits_double_up_to_an_hour() -> None:
    waits = [delay_after(attempts, None, longest) for attempts in range(1, 40)]

    assert (waits[0], waits[-1]) == (BASE_SECONDS, CAP_SECONDS)
    assert all(later == min(2 * sooner, CAP_SECONDS) for sooner, later in pairwise(waits))


def test_the_jitter_is_full() -> None:
    assert delay_after(5, None, lambda low, _high: low) == 0


@pytest.mark.parametrize("attempts", [1, 50])
def test_what_the_host_asks_for_is_never_undercut(attempts: int) -> None:
    assert delay_after(attempts, 120, lambda low, _high: low) == 120
