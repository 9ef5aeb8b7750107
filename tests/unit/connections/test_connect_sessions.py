"""What a request for a link must have, and what a link is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.connect_sessions.intake import SessionCommand, parse_session
from connections.connect_sessions.link import hash_of, new_link
from connections.errors import ValidationFailed

BODY = {"platform": "bluesky", "external_user_id": "user-42"}

WRONG = {
    "platform missing": ({"platform": None}, "platform", "required"),
    "platform unknown": ({"platform": "myspace"}, "platform", "unknown_platform"),
    "platform by OAuth": ({"platform": "twitter"}, "platform", "oauth_platform"),
    "user missing": ({"external_user_id": None}, "external_user_id", "required"),
    "user blank": ({"external_user_id": " \t"}, "external_user_id", "required"),
    "user empty": ({"external_user_id": ""}, "external_user_id", "required"),
    "user of a wrong type": ({"external_user_id": 42}, "external_user_id", "invalid_type"),
    "user too long": ({"external_user_id": "x" * 256}, "external_user_id", "too_long"),
    "user with NUL": ({"external_user_id": "a\0b"}, "external_user_id", "invalid_characters"),
    "no e-mail": ({"external_user_email": "alice"}, "external_user_email", "invalid_email"),
    "e-mail with a blank": ({"external_user_email": "a b@example.com"}, "external_user_email", "invalid_email"),
    "e-mail of a wrong type": ({"external_user_email": []}, "external_user_email", "invalid_type"),
    "e-mail too long": ({"external_user_email": f"{'x' * 320}@x"}, "external_user_email", "too_long"),
    "return URL of a wrong type": ({"return_url": 1}, "return_url", "invalid_type"),
    "return URL too long": ({"return_url": "x" * 2049}, "return_url", "too_long"),
    "profile that is no id": ({"profile_id": "no id"}, "profile_id", "unknown_profile"),
    "a flag of a wrong type": ({"allow_quickstart_creds": "yes"}, "allow_quickstart_creds", "invalid_type"),
}


def parsed(**changes: Any) -> SessionCommand:
    return parse_session(json.dumps(BODY | changes).encode())


@pytest.mark.parametrize(("changes", "field", "code"), WRONG.values(), ids=WRONG)
def test_each_wrong_field_is_an_issue(changes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parsed(**changes)

    assert [(issue.field, issue.code) for issue in caught.value.issues] == [(field, code)]


def test_all_of_them_are_told_at_once() -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_session(b'{"external_user_email": 1, "return_url": 2, "allow_quickstart_creds": 3}')

    fields = [issue.field for issue in caught.value.issues]
    assert fields == ["platform", "external_user_id", "external_user_email", "return_url", "allow_quickstart_creds"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"{"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_session(body)

    assert [issue.field for issue in caught.value.issues] == ["body"]


def test_what_is_optional_may_be_left_out_or_null() -> None:
    nothing = dict.fromkeys(("external_user_email", "return_url", "profile_id", "allow_quickstart_creds"))

    assert parsed() == parsed(**nothing) == SessionCommand("bluesky", "user-42")


def test_everything_is_taken_as_it_is() -> None:
    sent: dict[str, Any] = {
        "external_user_id": " Zoë/ 42\n",
        "external_user_email": "zoë@exämple.com",
        "return_url": "https://app.example.com/?a=b",
        "profile_id": "pr_1",
        "allow_quickstart_creds": True,
    }

    assert parsed(**sent) == SessionCommand(platform="bluesky", **sent)


def test_every_link_is_another_and_is_found_by_its_hash() -> None:
    links = [new_link() for _ in range(100)]

    assert len({link.token for link in links}) == 100
    assert all(hash_of(link.token) == link.token_hash for link in links)
    assert all(len(link.token_hash) == 32 and link.token not in repr(link) for link in links)


@given(st.text() | st.from_regex(r"\A[A-Za-z0-9_-]{42,44}\Z"))
def test_only_what_can_be_a_link_is_looked_for(text: str) -> None:
    is_one = len(text) == 43 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()

    # 43 signs that are all of "-" and "_" are a link as well.
    assert (hash_of(text) is not None) == (is_one or (len(text) == 43 and not set(text) - set("-_")))
