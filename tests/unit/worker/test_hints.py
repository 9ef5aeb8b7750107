from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.worker.platforms.bluesky.conftest import deterministic
from worker.hints import LONGEST_WAIT, retry_after

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
EPOCH = NOW.timestamp()


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": http_date(90)}, 90),
        ({"retry-after": http_date(-90)}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 10:01:00"}, 60),
        ({"retry-after": "172800"}, LONGEST_WAIT),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, LONGEST_WAIT),
        ({"ratelimit-reset": str(int(EPOCH) + 300)}, 300),
        ({"ratelimit-reset": str(int(EPOCH) + 300), "ratelimit-remaining": "0"}, 300),
        ({"ratelimit-reset": str(int(EPOCH) + 300), "ratelimit-remaining": "nonsense"}, 300),
        ({"retry-after": "7", "ratelimit-reset": str(int(EPOCH) + 300)}, 7),
        ({"retry-after": "soon", "ratelimit-reset": str(int(EPOCH) + 300)}, 300),
        # A relayed refusal shows another bucket, one that is not used up.
        ({"ratelimit-reset": str(int(EPOCH) + 300), "ratelimit-remaining": "2999"}, None),
        ({"retry-after": "7", "ratelimit-remaining": "2999"}, 7),
        # Garbage: the past, milliseconds, seconds from now, letters.
        ({"ratelimit-reset": str(int(EPOCH) - 1)}, None),
        ({"ratelimit-reset": str(int(EPOCH) * 1000)}, None),
        ({"ratelimit-reset": "300"}, None),
        ({"ratelimit-reset": "-1"}, None),
        ({"ratelimit-reset": "NaN"}, None),
        ({"ratelimit-reset": "".join(chr(ord(digit) - ord("0") + 0x0660) for digit in str(int(EPOCH) + 300))}, None),
        ({"ratelimit-reset": "²"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "Mon, 99 Nov 2026 99:99:99 GMT"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], wait: float | None) -> None:
    assert retry_after(headers, now=EPOCH) == (None if wait is None else pytest.approx(wait))


VALUES = st.text() | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(format_datetime)


@deterministic
@given(
    st.dictionaries(st.sampled_from(["retry-after", "ratelimit-reset", "ratelimit-remaining"]), VALUES),
    st.floats(0, 1e11),
)
def test_headers_can_be_anything_and_a_hint_is_bounded(headers: dict[str, str], now: float) -> None:
    wait = retry_after(headers, now=now)
    assert wait is None or 0 <= wait <= LONGEST_WAIT
