"""How long deliveries and receivers wait."""

import pytest

from connections.webhooks.patience import next_delay, pause


def test_delays_double_up_to_an_hour() -> None:
    longest = [next_delay(attempts, jitter=1.0) for attempts in range(1, 13)]

    assert longest == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    assert [next_delay(attempts, jitter=0.0) for attempts in range(1, 13)] == [one / 2 for one in longest]
    assert next_delay(10**6, jitter=1.0) == 3600


def test_pauses_begin_with_the_third_failure_and_end_at_five_minutes() -> None:
    assert [pause(failures) for failures in range(1, 12)] == [0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert pause(10**6) == 300


@pytest.mark.parametrize(("asked", "heard"), [(0.0, 5), (3.0, 5), (120.0, 120), (3600.0, 3600), (86400.0, 3600)])
def test_a_receiver_may_ask_for_an_hour_at_most(asked: float, heard: float) -> None:
    assert next_delay(1, jitter=1.0, asked=asked) == heard
    assert pause(3, asked=asked) == heard
