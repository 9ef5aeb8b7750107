"""What a stranger's words about a rate limit are taken for."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.pacing_headers import LONGEST_WINDOW, Bucket, is_hosts, read_bucket, read_stop

NOW = 1_790_000_000.25
WINDOW = 300.0


def headers(
    limit: object = 3000, remaining: object = 1000, reset: object = 1_790_000_100, policy: object = "3000;w=300"
) -> dict[str, str]:
    return {
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(remaining),
        "ratelimit-reset": str(reset),
        "ratelimit-policy": str(policy),
    }


def date(seconds: float) -> dict[str, str]:
    return {"date": format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)}


def test_a_bucket_is_read() -> None:
    assert read_bucket(headers(), now=NOW) == Bucket(3000, 1000, 100.25, 300)


def test_the_end_is_by_the_clock_of_who_says_it() -> None:
    bucket = read_bucket({**headers(reset=1_790_003_700), **date(3600)}, now=NOW)
    assert bucket is not None
    assert bucket.left == pytest.approx(100.5, abs=1)


def test_a_date_that_agrees_with_ours_is_too_coarse_to_count() -> None:
    bucket = read_bucket({**headers(), **date(0)}, now=NOW)
    assert bucket is not None
    assert bucket.left == pytest.approx(100.25)


GARBAGE = {
    "nothing": {},
    "no policy": {key: value for key, value in headers().items() if key != "ratelimit-policy"},
    "words": headers(limit="many"),
    "negative": headers(remaining=-1),
    "a fraction": headers(remaining="1.5"),
    "an exponent": headers(limit="3e3"),
    "digits of another script": headers(remaining="٣"),
    "no limit": headers(limit=0, remaining=0, policy="0;w=300"),
    "more left than there was": headers(remaining=3001),
    "a policy of another limit": headers(policy="30;w=300"),
    "a policy without a window": headers(policy="3000"),
    "a window of nothing": headers(policy="3000;w=0"),
    "a window of years": headers(policy="3000;w=99999"),
    "the end is past": headers(reset=1_789_999_990),
    "the end is beyond the window": headers(reset=1_790_000_400),
    "a date for an end": headers(reset="Wed, 25 Nov 2026 00:00:00 GMT"),
    "huge": headers(limit=10**30, remaining=10**29, reset=10**40, policy=f"{10**30};w={10**9}"),
    "a date that contradicts the end": {**headers(), **date(-86_400 * 365)},
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
def test_garbage_says_nothing(said: dict[str, str]) -> None:
    assert read_bucket(said, now=NOW) is None


_VALUES = st.one_of(
    st.integers(-(10**13), 10**13).map(str), st.floats().map(str), st.text(max_size=20), st.just("3000;w=300")
)
_HEADERS = st.dictionaries(
    st.sampled_from([*headers(), "retry-after", "date"]),
    st.one_of(_VALUES, st.builds("{};w={}".format, st.integers(0, 10**6), st.integers(0, 10**6))),
)
_NEAR = st.builds(
    headers,
    st.integers(0, 4000),
    st.integers(0, 4000),
    st.integers(-500, 500).map(lambda seconds: int(NOW) + seconds),
    st.builds("{};w={}".format, st.integers(0, 4000), st.integers(0, 500)),
)


@given(st.one_of(_HEADERS, _NEAR))
def test_whatever_is_said_a_bucket_is_sane(said: dict[str, str]) -> None:
    bucket = read_bucket(said, now=NOW)
    if bucket is not None:
        assert 0 <= bucket.remaining <= bucket.limit
        assert bucket.limit >= 1
        assert 0 <= bucket.left <= bucket.window <= LONGEST_WINDOW


@given(st.one_of(_HEADERS, _NEAR), st.sampled_from(["GET", "POST"]))
def test_whatever_is_said_a_refusal_stops_a_host_for_a_window_of_ours_at_most(said: dict[str, str], call: str) -> None:
    bucket = read_bucket(said, now=NOW)
    stop = read_stop(bucket, call, said, now=NOW, longest=WINDOW)
    if stop is not None:
        assert 0 < stop.seconds <= WINDOW
        assert stop.used is None or 0 <= stop.used < 1


@pytest.mark.parametrize(
    ("call", "limit", "expected"), [("GET", 30, True), ("POST", 30, False), ("POST", 300, False), ("POST", 3000, True)]
)
def test_whose_bucket(call: str, limit: int, expected: bool) -> None:
    assert is_hosts(Bucket(limit, 1, 1.0, 300), call) is expected


REFUSALS: dict[str, tuple[str, dict[str, str], tuple[float, float | None] | None]] = {
    "the host's bucket": ("POST", headers(remaining=0), (100.75, None)),
    "one account's": ("POST", headers(30, 0, policy="30;w=300"), None),
    "one account's, whatever else it says": ("POST", headers(30, 0, policy="30;w=300") | {"retry-after": "9"}, None),
    "relayed, with another's headers": ("POST", headers(), (3.0, None)),
    "with a wait": ("POST", headers(remaining=0) | {"retry-after": "77"}, (77.0, None)),
    "with a wait only": ("POST", {"retry-after": "60"}, (60.0, 0.8)),
    "with a wait of nothing": ("POST", {"retry-after": "0"}, (3.0, 0.99)),
    "with a wait of a day": ("POST", {"retry-after": "86400"}, (300.0, 0.0)),
    "a bucket of a day": (
        "GET",
        headers(5000, 0, 1_790_050_000, "5000;w=86400"),
        (300.0, None),
    ),
    "without a word": ("POST", {}, (3.0, None)),
    "with garbage": ("POST", headers(remaining=-1, reset="soon") | {"retry-after": "later"}, (3.0, None)),
}


@pytest.mark.parametrize(("call", "said", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_what_a_refusal_stops(call: str, said: dict[str, str], expected: tuple[float, float | None] | None) -> None:
    stop = read_stop(read_bucket(said, now=NOW), call, said, now=NOW, longest=WINDOW)
    assert (stop and (stop.seconds, stop.used)) == (expected and pytest.approx(expected))
