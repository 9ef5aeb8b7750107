"""RFC 7240, and what of it counts here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_shim.prefer import MAX_WAIT_SECONDS, Preferences, parse_prefer

ASYNC = Preferences(respond_async=True)

CASES: dict[str, tuple[list[str], Preferences]] = {
    "nothing": ([], Preferences()),
    "empty": ([""], Preferences()),
    "async": (["respond-async"], ASYNC),
    "any case": (["Respond-ASYNC"], ASYNC),
    "async with an empty value": (['respond-async=""'], ASYNC),
    "async with a value is something else": (["respond-async=no"], Preferences()),
    "wait": (["wait=10"], Preferences(wait=10)),
    "quoted": (['wait="10"'], Preferences(wait=10)),
    "spaces": (["wait = 10 ; x=y"], Preferences(wait=10)),
    "zero": (["wait=0"], Preferences(wait=0)),
    "clamped": (["wait=3600"], Preferences(wait=60)),
    "digits beyond reason": (["wait=" + "9" * 40], Preferences()),
    "negative": (["wait=-1"], Preferences()),
    "fraction": (["wait=1.5"], Preferences()),
    "other digits": (["wait=\u0661"], Preferences()),
    "no value": (["wait"], Preferences()),
    "both": (["respond-async, wait=10"], Preferences(respond_async=True, wait=10)),
    "several headers": (["respond-async", "wait=10"], Preferences(respond_async=True, wait=10)),
    "the first counts": (["wait=1, wait=2", "wait=3"], Preferences(wait=1)),
    "a malformed first counts too": (["wait=x, wait=2"], Preferences()),
    "parameters": (["respond-async; a=b; c, wait=7; d"], Preferences(respond_async=True, wait=7)),
    "comma in quotes": (['x="a, respond-async", wait=2'], Preferences(wait=2)),
    "escaped quote": (['x="\\", wait=9", wait=2'], Preferences(wait=2)),
    "open quote": (['x="a, wait=2'], Preferences(wait=2)),
    "empty elements": ([",, ,wait=3,"], Preferences(wait=3)),
}


@pytest.mark.parametrize(("headers", "expected"), CASES.values(), ids=CASES)
def test_preferences(headers: list[str], expected: Preferences) -> None:
    assert parse_prefer(headers) == expected


@given(
    st.lists(
        st.text(alphabet=st.characters(max_codepoint=255)) | st.text('respond-async wait=0123456789,;"\\'), max_size=4
    )
)
def test_whatever_is_sent_can_be_read(headers: list[str]) -> None:
    preferences = parse_prefer(headers)

    assert preferences.wait is None or 0 <= preferences.wait <= MAX_WAIT_SECONDS
    assert parse_prefer(preferences.headers().values()) == preferences


@given(st.integers(0, 10**9 - 1))
def test_every_number_of_seconds_is_honoured_up_to_the_longest(seconds: int) -> None:
    assert parse_prefer([f"wait={seconds}"]).wait == min(seconds, MAX_WAIT_SECONDS)


WAITS = [(Preferences(), 25.0), (ASYNC, 0), (Preferences(wait=7), 7), (Preferences(respond_async=True, wait=7), 7)]


@pytest.mark.parametrize(("preferences", "seconds"), WAITS)
def test_how_long_to_wait(preferences: Preferences, seconds: float) -> None:
    assert preferences.wait_seconds(25.0) == seconds


def test_an_endless_header_is_ignored() -> None:
    assert parse_prefer(["respond-async, " + "x" * 2000]) == Preferences()
