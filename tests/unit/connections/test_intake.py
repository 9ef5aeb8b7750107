import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connections.errors import ValidationFailed
from connections.intake import ConnectCommand, is_id, parse_connect
from connections.platforms import OAUTH_PLATFORMS

GOOD: dict[str, Any] = {"platform": "bluesky", "credentials": {"handle": "alice.test", "app_password": "abcd"}}


def body(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def issues_of(sent: bytes) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as caught:
        parse_connect(sent)
    return [(issue.field, issue.code) for issue in caught.value.issues]


def test_a_documented_body() -> None:
    assert parse_connect(body(profile_id="pr_1")) == ConnectCommand("bluesky", "alice.test", "abcd", "pr_1")


def test_the_spelling_of_the_published_samples() -> None:
    sent = body(credentials={"identifier": "alice.test", "password": "abcd"})

    assert parse_connect(sent) == ConnectCommand("bluesky", "alice.test", "abcd")


@pytest.mark.parametrize("name", ["Bluesky", " bluesky ", "BLUESKY"])
def test_the_platform_name_is_normalised(name: str) -> None:
    assert parse_connect(body(platform=name)).platform == "bluesky"


def test_unknown_fields_are_ignored() -> None:
    assert parse_connect(body(surprise=1)).identifier == "alice.test"


HANDLE, PASSWORD = "credentials.handle", "credentials.app_password"
BAD: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "empty": (b"", [("body", "invalid_json")]),
    "not JSON": (b"handle=alice", [("body", "invalid_json")]),
    "cut off": (b'{"platform": ', [("body", "invalid_json")]),
    "not UTF-8": (b'{"platform": "\xff"}', [("body", "invalid_json")]),
    "a lone surrogate": (b'{"platform": "\\ud800"}', [("body", "invalid_json")]),
    "too deep": (b"[" * 2000 + b"]" * 2000, [("body", "invalid_json")]),
    "an array": (b"[]", [("body", "invalid_type")]),
    "null": (b"null", [("body", "invalid_type")]),
    "a number": (b"7", [("body", "invalid_type")]),
    "nothing": (b"{}", [("platform", "required"), ("credentials", "required")]),
    "platform null": (body(platform=None), [("platform", "required")]),
    "platform a number": (body(platform=7), [("platform", "invalid_type")]),
    "platform empty": (body(platform=""), [("platform", "invalid_type")]),
    "platform unknown": (body(platform="myspace"), [("platform", "unknown_platform")]),
    "profile a number": (body(profile_id=7), [("profile_id", "invalid_type")]),
    "profile with a NUL": (body(profile_id="pr_\0"), [("profile_id", "unknown_profile")]),
    "credentials null": (body(credentials=None), [("credentials", "required")]),
    "credentials a list": (body(credentials=[]), [("credentials", "invalid_type")]),
    "credentials empty": (body(credentials={}), [(HANDLE, "required"), (PASSWORD, "required")]),
    "handle empty": (body(credentials={"handle": "", "app_password": "x"}), [(HANDLE, "required")]),
    "handle blank": (body(credentials={"handle": " \t", "app_password": "x"}), [(HANDLE, "required")]),
    "handle a number": (body(credentials={"handle": 7, "app_password": "x"}), [(HANDLE, "invalid_type")]),
    "handle endless": (body(credentials={"handle": "a" * 2049, "app_password": "x"}), [(HANDLE, "too_long")]),
    "password null": (body(credentials={"handle": "a", "app_password": None}), [(PASSWORD, "required")]),
    "password a list": (body(credentials={"handle": "a", "app_password": ["x"]}), [(PASSWORD, "invalid_type")]),
    "password endless": (body(credentials={"handle": "a", "app_password": "x" * 513}), [(PASSWORD, "too_long")]),
    "an alias of the wrong type": (
        body(credentials={"identifier": 7, "password": True}),
        [("credentials.identifier", "invalid_type"), ("credentials.password", "invalid_type")],
    ),
}


@pytest.mark.parametrize(("sent", "issues"), BAD.values(), ids=BAD)
def test_bad_input_gets_one_issue_a_field(sent: bytes, issues: list[tuple[str, str]]) -> None:
    assert issues_of(sent) == issues


@pytest.mark.parametrize("platform", sorted(OAUTH_PLATFORMS))
def test_oauth_platforms_are_sent_to_oauth(platform: str) -> None:
    with pytest.raises(ValidationFailed, match="Use OAuth connect"):
        parse_connect(body(platform=platform))


def test_a_password_is_never_shown() -> None:
    assert "abcd" not in repr(parse_connect(body()))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["handle", "identifier", "app_password", "password"]
ISSUES = {"body", "platform", "profile_id", "credentials", *(f"credentials.{name}" for name in NAMES)}
ODD = JSON | st.sampled_from(["bluesky", " BlueSky", "myspace", "linkedin", "", " ", "\x1c", "x" * 3000, "pr_1"])
CREDENTIALS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, ODD | st.just("canary")))
BODIES = st.fixed_dictionaries(
    {}, optional={"platform": ODD | st.just("bluesky"), "profile_id": ODD, "credentials": ODD | CREDENTIALS}
)


def read(sent: bytes) -> ConnectCommand | ValidationFailed:
    try:
        return parse_connect(sent)
    except ValidationFailed as failed:
        return failed


@settings(max_examples=500)
@given(st.binary() | BODIES.map(lambda value: json.dumps(value).encode()))
def test_anything_is_a_command_or_has_one_issue_for_each_wrong_field(sent: bytes) -> None:
    match read(sent):
        case ConnectCommand("bluesky", identifier, password, profile_id):
            assert 0 < len(identifier.strip()) <= len(identifier) <= 2048
            assert 0 < len(password.strip()) <= len(password) <= 512
            assert profile_id is None or is_id(profile_id)
        case ValidationFailed(issues=issues) as failed:
            fields = [issue.field for issue in issues]
            assert 0 < len(fields) == len(set(fields))
            assert set(fields) <= ISSUES
            assert "canary" not in failed.describe().model_dump_json()
        case other:
            pytest.fail(repr(other))


@given(st.text(min_size=1, max_size=100), JSON)
def test_no_issue_repeats_what_was_sent(password: str, handle: Any) -> None:
    sent = body(credentials={"handle": handle, "app_password": f"canary{password}"}, platform="nowhere")

    with pytest.raises(ValidationFailed) as caught:
        parse_connect(sent)
    assert "canary" not in str(caught.value.issues)


# The longest body that is read, in shapes that take some parsers quadratic time or deep recursion.
LONG = {
    "a handle": body(credentials={"handle": "a" * 65_000, "app_password": "x"}),
    "blanks for a handle": body(credentials={"handle": " " * 65_000, "app_password": "x"}),
    "a platform": body(platform=" " * 65_000),
    "a profile": body(profile_id="_" * 65_000),
    "many members": json.dumps({str(n): 0 for n in range(6_000)}).encode(),
    "one member many times": b"{" + b'"platform":0,' * 5_000 + b'"platform":0}',
    "brackets": b"[" * 65_000,
    "braces": b'{"a":' * 13_000,
    "escapes": b'"' + b"\\u0000" * 10_900 + b'"',
    "digits": b"9" * 65_000,
}


@pytest.mark.parametrize("sent", LONG.values(), ids=LONG)
def test_the_longest_body_is_read_in_no_time(sent: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(ValidationFailed):
        parse_connect(sent)

    assert time.thread_time() - started < 0.25  # of this thread's own time, however busy the machine is
