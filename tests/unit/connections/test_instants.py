"""RFC 3339, no more and no less."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.contract import Issue
from connections.instants import read_instant


def read(text: str | None) -> datetime | None:
    issues: list[Issue] = []
    moment = read_instant("since", text, issues)
    assert not issues
    return moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23t10:00:00z", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-11-23T11:30:00.25+01:30", datetime(2026, 11, 23, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-11-23T10:00:00.123456789Z", datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)),
        ("1990-12-31T23:59:60Z", datetime(1990, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("0001-01-01T00:00:00+23:59", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-00:01", datetime.max.replace(tzinfo=UTC)),
        (None, None),
    ],
)
def test_what_it_reads(text: str | None, moment: datetime | None) -> None:
    assert read(text) == moment


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_every_instant_comes_back(moment: datetime) -> None:
    read_back = read(moment.isoformat())
    assert read_back is not None
    assert read_back == moment or read_back in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00:00 01:00",
        "2026-11-23 10:00:00Z",
        "2026-02-30T10:00:00Z",
        "2026-11-23T25:00:00Z",
        "2026-11-23T10:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "1700000000",
        "\uff12026-11-23T10:00:00Z",
        "2026-11-23T10:00:00Z\n",
    ],
)
def test_anything_else_is_an_issue(text: str) -> None:
    issues: list[Issue] = []

    assert read_instant("since", text, issues) is None
    assert [(issue.field, issue.code) for issue in issues] == [("since", "invalid_instant")]
