"""What may be set of a profile and of a workspace, and one issue for every field that is wrong."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.contract import Issue
from connections.errors import ValidationFailed
from connections.owners.bodies import (
    MAX_LOGO_URL,
    MAX_MONTHLY_LIMIT,
    MAX_NAME,
    MAX_RETURN_URLS,
    parse_new_profile,
    parse_profile_change,
    parse_workspace_change,
)

Parse = Callable[[bytes], Any]


def parse_workspace(body: bytes) -> Any:
    return parse_workspace_change(body, allows_loopback=True)


def issues_of(parse: Parse, sent: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as caught:
        parse(sent if isinstance(sent, bytes) else json.dumps(sent).encode())
    return [(issue.field, issue.code) for issue in caught.value.issues]


def test_a_new_profile() -> None:
    sent = {
        "name": " Acme Coffee ",
        "branding_logo_url": "https://acme.test:8443/logo.png?v=2",
        "branding_display_name": "Acmé ☕",
        "branding_primary_color": "#0a7CFF",
        "surprise": 1,
    }

    fields = parse_new_profile(json.dumps(sent).encode())

    assert fields == {
        "name": "Acme Coffee",
        "branding_logo_url": "https://acme.test:8443/logo.png?v=2",
        "branding_display_name": "Acmé ☕",
        "branding_primary_color": "#0a7CFF",
    }


def test_what_is_absent_is_not_changed() -> None:
    assert parse_profile_change(b"{}") == {}
    assert parse_workspace(b"{}") == {}
    assert parse_profile_change(b'{"branding_primary_color": "#000000"}') == {"branding_primary_color": "#000000"}


@pytest.mark.parametrize("empty", [None, ""])
@pytest.mark.parametrize("member", ["branding_logo_url", "branding_display_name", "branding_primary_color"])
def test_a_branding_is_taken_away(member: str, empty: str | None) -> None:
    assert parse_profile_change(json.dumps({member: empty}).encode()) == {member: None}


BAD_PROFILES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "not JSON": (b"name=Acme", [("body", "invalid_json")]),
    "an array": ([], [("body", "invalid_type")]),
    "name null": ({"name": None}, [("name", "required")]),
    "name empty": ({"name": ""}, [("name", "required")]),
    "name blank": ({"name": " \u00a0"}, [("name", "required")]),
    "name a number": ({"name": 7}, [("name", "invalid_type")]),
    "name endless": ({"name": "a" * (MAX_NAME + 1)}, [("name", "too_long")]),
    "name with a NUL": ({"name": "a\0"}, [("name", "invalid_characters")]),
    "name of two lines": ({"name": "a\nb"}, [("name", "invalid_characters")]),
    "logo a number": ({"branding_logo_url": 7}, [("branding_logo_url", "invalid_type")]),
    "logo without TLS": ({"branding_logo_url": "http://a.test/"}, [("branding_logo_url", "invalid_url")]),
    "logo a script": ({"branding_logo_url": "javascript:alert(1)"}, [("branding_logo_url", "invalid_url")]),
    "logo in itself": ({"branding_logo_url": "data:image/png;base64,AA=="}, [("branding_logo_url", "invalid_url")]),
    "logo of a user": ({"branding_logo_url": "https://a:b@a.test/"}, [("branding_logo_url", "invalid_url")]),
    "logo with quotes": ({"branding_logo_url": 'https://a.test/">'}, [("branding_logo_url", "invalid_url")]),
    "logo at no port": ({"branding_logo_url": "https://a.test:99999/"}, [("branding_logo_url", "invalid_url")]),
    "logo endless": (
        {"branding_logo_url": "https://a.test/" + "a" * MAX_LOGO_URL},
        [("branding_logo_url", "too_long")],
    ),
    "display name blank": ({"branding_display_name": " "}, [("branding_display_name", "required")]),
    "color by name": ({"branding_primary_color": "red"}, [("branding_primary_color", "invalid_color")]),
    "color short": ({"branding_primary_color": "#fff"}, [("branding_primary_color", "invalid_color")]),
    "color and more": ({"branding_primary_color": "#ffffff;"}, [("branding_primary_color", "invalid_color")]),
    "color of digits of another script": (
        {"branding_primary_color": "#" + 6 * "\u0660"},
        [("branding_primary_color", "invalid_color")],
    ),
    "color a list": ({"branding_primary_color": []}, [("branding_primary_color", "invalid_type")]),
    "two": (
        {"name": 7, "branding_primary_color": "red"},
        [("name", "invalid_type"), ("branding_primary_color", "invalid_color")],
    ),
}


@pytest.mark.parametrize(("sent", "issues"), BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_bad_change_of_a_profile_gets_one_issue_a_field(sent: Any, issues: list[tuple[str, str]]) -> None:
    assert issues_of(parse_profile_change, sent) == issues


def test_a_new_profile_has_a_name() -> None:
    assert issues_of(parse_new_profile, {}) == [("name", "required")]


def test_a_change_of_a_workspace() -> None:
    sent = {
        "name": "Acme",
        "per_account_monthly_limit": 5.0,
        "return_urls": ["https://App.acme.test/done", "https://app.acme.test:443/done", "http://localhost:3000"],
        "usage_modes": ["everything"],
    }

    assert parse_workspace(json.dumps(sent).encode()) == {
        "name": "Acme",
        "per_account_monthly_limit": 5,
        "return_urls": ["https://app.acme.test/done", "http://localhost:3000/"],
    }


@pytest.mark.parametrize("limit", [None, 0, MAX_MONTHLY_LIMIT])
def test_a_limit_and_none(limit: int | None) -> None:
    sent = {"per_account_monthly_limit": limit}
    assert parse_workspace(json.dumps(sent).encode()) == sent


BAD_WORKSPACES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "name null": ({"name": None}, [("name", "required")]),
    "limit a boolean": ({"per_account_monthly_limit": True}, [("per_account_monthly_limit", "invalid_type")]),
    "limit a text": ({"per_account_monthly_limit": ""}, [("per_account_monthly_limit", "invalid_type")]),
    "limit of a half": ({"per_account_monthly_limit": 0.5}, [("per_account_monthly_limit", "invalid_type")]),
    "limit negative": ({"per_account_monthly_limit": -1}, [("per_account_monthly_limit", "out_of_range")]),
    "limit huge": (b'{"per_account_monthly_limit": 1e300}', [("per_account_monthly_limit", "out_of_range")]),
    "return URLs null": ({"return_urls": None}, [("return_urls", "required")]),
    "return URLs a text": ({"return_urls": "https://a.test"}, [("return_urls", "invalid_type")]),
    "too many": ({"return_urls": ["https://a.test"] * (MAX_RETURN_URLS + 1)}, [("return_urls", "too_many")]),
    "several bad": (
        {"return_urls": ["https://a.test", 7, "http://a.test", "https://a.test/?a", None]},
        [
            ("return_urls.1", "invalid_type"),
            ("return_urls.2", "invalid_url"),
            ("return_urls.3", "invalid_url"),
            ("return_urls.4", "required"),
        ],
    ),
}


@pytest.mark.parametrize(("sent", "issues"), BAD_WORKSPACES.values(), ids=BAD_WORKSPACES)
def test_a_bad_change_of_a_workspace_gets_one_issue_a_field(sent: Any, issues: list[tuple[str, str]]) -> None:
    assert issues_of(parse_workspace, sent) == issues


def test_return_urls_lead_to_the_own_machine_in_development_only() -> None:
    body = b'{"return_urls": ["http://localhost:3000/"]}'

    with pytest.raises(ValidationFailed, match=r"return_urls\.0 must begin with https://"):
        parse_workspace_change(body, allows_loopback=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["name", "branding_logo_url", "branding_display_name", "branding_primary_color", "return_urls"]
ODD = JSON | st.sampled_from(["https://a.test", "#123456", "a" * 3000, "\u2028", ["https://a.test", 7]])


@pytest.mark.parametrize("parse", [parse_new_profile, parse_profile_change, parse_workspace])
@given(sent=st.dictionaries(st.sampled_from([*MEMBERS, "per_account_monthly_limit"]) | st.text(), ODD) | JSON)
def test_whatever_is_sent_is_stored_or_refused_by_field(parse: Parse, sent: Any) -> None:
    known = {*MEMBERS, "per_account_monthly_limit"}
    issues: tuple[Issue, ...] = ()
    fields: dict[str, Any] = {}
    try:
        fields = parse(json.dumps(sent).encode())
    except ValidationFailed as error:
        issues = error.issues

    assert {issue.field.partition(".")[0] for issue in issues} <= {"body", *known}
    assert fields.keys() <= known
    assert "\0" not in json.dumps(fields, ensure_ascii=False)
    for name in ("name", "branding_display_name"):
        assert len(fields.get(name) or "") <= MAX_NAME
