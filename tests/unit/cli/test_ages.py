"""Spans of time in words."""

from datetime import UTC, datetime, timedelta

import pytest

from cli.ages import answer_time, lasting, relative

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-0.01, "0.0 s"),
        (0.04, "0.0 s"),
        (0.4, "0.4 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (840, "14 min"),
        (5399, "90 min"),
        (3 * 3600, "3 h"),
        (36 * 3600, "2 d"),
    ],
)
def test_a_span(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.00004, "0.0 ms"),
        (0.0012, "1.2 ms"),
        (0.00994, "9.9 ms"),
        (0.00995, "10 ms"),
        (0.14, "140 ms"),
        (2.4, "2.4 s"),
    ],
)
def test_what_an_answer_takes(seconds: float, said: str) -> None:
    assert answer_time(seconds) == said


def test_before_and_after() -> None:
    assert relative(NOW + timedelta(seconds=40), NOW) == "in 40 s"
    assert relative(NOW - timedelta(minutes=14), NOW) == "14 min ago"
    assert relative(NOW, NOW) == "0.0 s ago"
