"""Whatever surrounds a secret in a log event, the secret does not come out."""

import string
import time
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connections import redaction
from connections.api_keys import new_api_key
from connections.redaction import REDACTED, redact, redact_text

BASE64URL = string.ascii_letters + string.digits + "-_"
segment = st.text(BASE64URL, min_size=1, max_size=40)

app_passwords = st.lists(
    st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=4, max_size=4), min_size=4, max_size=4
).map("-".join)
jwts = st.tuples(segment, segment, segment).map(lambda parts: "eyJ" + ".".join(parts))
keys = st.booleans().map(lambda live: new_api_key(live=live).key)
secrets = app_passwords | jwts | keys

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
nested = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


class Opaque:
    """Prints what it holds, as foreign objects do."""

    def __init__(self, held: str) -> None:
        self.held = held

    def __repr__(self) -> str:
        return f"<Opaque {self.held}>"


@given(before=st.text(), secret=secrets, after=st.text())
def test_a_secret_is_known_by_its_shape(before: str, secret: str, after: str) -> None:
    assert secret not in redact_text(before + secret + after)


@given(secret=secrets, around=nested)
def test_however_deep_it_lies(secret: str, around: object) -> None:
    event = {"event": f"saw {secret}", "deep": [{"x": (around, Opaque(secret), {secret})}, {secret: around}]}

    assert secret not in str(redact(event))


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "app_password",
        "appPassword",
        "token",
        "access_token",
        "refreshJwt",
        "Authorization",
        "credentials",
        "api_key",
        "client_secret",
        "Set-Cookie",
    ],
)
@given(
    value=st.text(min_size=1) | st.integers() | st.lists(st.text(), min_size=1) | st.dictionaries(st.text(), st.text())
)
def test_a_secret_is_known_by_its_name(name: str, value: object) -> None:
    assert redact({"outer": {name: value}}) == {"outer": {name: REDACTED}}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("refused: {'password': 'my main one'}", "refused: {'password': [redacted]}"),
        ('{"app_password":"hunter2","n":1}', '{"app_password":[redacted],"n":1}'),
        (r'"{\"password\": \"hunter2\"}"', r'"{\"password\": [redacted]}"'),
        (r'"{\"password\": \"hun\\\"ter2\"}"', r'"{\"password\": [redacted]}"'),
        ('{"password": "hun\\"ter2"}', '{"password": [redacted]}'),
        ("{'password': b'hunter2'}", "{'password': [redacted]}"),
        ("GET /v1/x?app_password=hunter2&page=1", "GET /v1/x?app_password=[redacted]&page=1"),
        ("Authorization: Bearer opaque\nAccept: */*", "Authorization: [redacted]\nAccept: */*"),
        ("Cookie: session=hunter2", "Cookie: [redacted]"),
        ("redis://:hun/ter@2@cache:6379/0", "redis://[redacted]@cache:6379/0"),
        ("postgresql://connector:hunter2@db:5432/c", "postgresql://[redacted]@db:5432/c"),
        ("redis://:hunter2@cache:6379/0", "redis://[redacted]@cache:6379/0"),
    ],
)
def test_printed_dictionaries_and_urls(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "account_connected",
        "alice.bsky.social did:plc:ewvi7nxzyoun6zhxrhs64oiz",
        "ct_01jd0000000000000000000000 req_0123456789abcdef",
        "2026-11-23T10:00:00.123Z http://127.0.0.1:8000/readyz",
        "    password = request.password",
        "credentials.app_password is required.",
    ],
)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact_text(text) == text


@given(value=st.uuids())
def test_uuids_stay_readable(value: UUID) -> None:
    assert redact_text(f"task {value} received") == f"task {value} received"


def test_plain_values_stay_themselves() -> None:
    assert redact({"attempt": 1, "seconds": 0.42, "final": True, "next": None}) == {
        "attempt": 1,
        "seconds": 0.42,
        "final": True,
        "next": None,
    }


def test_an_endless_text_is_cut() -> None:
    assert redact_text("x" * 20_000) == "x" * 16_000 + " [cut]"


@settings(max_examples=20)  # each reads a long text
@given(secret=secrets, before=st.integers(15_900, 16_000))
def test_no_half_of_a_secret_is_left_at_the_cut(secret: str, before: int) -> None:
    left = redact_text(" " * before + secret + " " * 200)

    assert left.strip().removesuffix("[cut]").strip() in {"", REDACTED}


@pytest.mark.parametrize(
    "piece", ["://a:", "password='", "?password=", "eyJ", "abcd-", 'token: "\\', "cookie:", "b\\'"]
)
def test_a_hostile_text_takes_no_longer_than_any_other(piece: str) -> None:
    started = time.process_time()
    redact_text(piece * 20_000)

    assert time.process_time() - started < 1


@given(st.text(alphabet=st.one_of(st.sampled_from("-:=eyJEup_.x4\"'?& @/"), st.characters()), max_size=60))
def test_what_is_let_through_unread_is_what_would_be_found_harmless(text: str) -> None:
    assert redaction._SUSPICIOUS.search(text) or not redaction._SECRETS.search(text)
