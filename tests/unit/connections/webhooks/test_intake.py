"""Bodies of webhooks: one issue for each wrong field, and addresses of one spelling."""

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.errors import ValidationFailed
from connections.webhooks.intake import NewWebhook, parse_change, parse_new
from connections.webhooks.secrets import is_secret, new_secret, preview
from connections.webhooks.urls import MAX_URL, URL_PATTERN, is_webhook_url

GOOD: dict[str, Any] = {"name": "Billing", "url": "https://example.com/hook", "events": ["account.connected"]}


def body(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def issues_of(sent: bytes, *, is_new: bool = True) -> list[tuple[str, str]]:
    with pytest.raises(ValidationFailed) as caught:
        (parse_new if is_new else parse_change)(sent, allows_loopback=False)
    return [(issue.field, issue.code) for issue in caught.value.issues]


def test_a_documented_body() -> None:
    expected = NewWebhook("Billing", "https://example.com/hook", ("account.connected",), active=True, secret=None)
    assert parse_new(body(), allows_loopback=False) == expected
    assert parse_new(body(active=None, secret=None, surprise=1), allows_loopback=False) == expected


def test_events_are_kept_once_and_in_their_order() -> None:
    sent = body(events=["batch.finished", "*", "batch.finished"])

    assert parse_new(sent, allows_loopback=False).events == ("batch.finished", "*")


BAD: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "not JSON": (b"name=x", [("body", "invalid_json")]),
    "nothing": (b"{}", [("name", "required"), ("url", "required"), ("events", "required")]),
    "name a number": (body(name=7), [("name", "invalid_type")]),
    "name blank": (body(name="  "), [("name", "required")]),
    "name long": (body(name="x" * 201), [("name", "too_long")]),
    "name that no table keeps": (body(name="a\x00b"), [("name", "invalid_characters")]),
    "url a list": (body(url=[]), [("url", "invalid_type")]),
    "url http": (body(url="http://example.com/"), [("url", "invalid_url")]),
    "url long": (body(url="https://example.com/" + "x" * 2048), [("url", "too_long")]),
    "events a text": (body(events="account.connected"), [("events", "invalid_type")]),
    "events empty": (body(events=[]), [("events", "required")]),
    "events of numbers": (body(events=[1]), [("events", "invalid_type")]),
    "events unknown": (body(events=["account.connected", "post.published"]), [("events", "unknown_event")]),
    "active a text": (body(active="yes"), [("active", "invalid_type")]),
    "secret short": (body(secret="x" * 15), [("secret", "invalid_secret")]),
    "secret long": (body(secret="x" * 256), [("secret", "invalid_secret")]),
    "secret with a blank": (body(secret="x" * 15 + " y"), [("secret", "invalid_secret")]),
    "secret of other letters": (body(secret="ü" * 16), [("secret", "invalid_secret")]),
    "secret a number": (body(secret=7), [("secret", "invalid_type")]),
    "all of it": (
        body(name="", url="", events=[], active=0, secret=""),
        [
            ("name", "required"),
            ("url", "required"),
            ("events", "required"),
            ("active", "invalid_type"),
            ("secret", "invalid_secret"),
        ],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_one_issue_for_each_wrong_field(case: str) -> None:
    sent, issues = BAD[case]

    assert issues_of(sent) == issues


def test_unknown_events_are_named() -> None:
    with pytest.raises(ValidationFailed, match=r"post\.published, x+\. Supported: account\.connected"):
        parse_new(body(events=["post.published", "x" * 500]), allows_loopback=False)


def test_no_secret_is_repeated() -> None:
    with pytest.raises(ValidationFailed) as caught:
        parse_new(body(secret="canary-canary canary"), allows_loopback=False)
    assert "canary" not in repr(caught.value.describe())
    assert "canary" not in repr(parse_new(body(secret="canary-canary-canary"), allows_loopback=False))


def test_a_change_has_what_was_sent() -> None:
    assert parse_change(b"{}", allows_loopback=False) == {}
    assert parse_change(b'{"active": false, "secret": "x"}', allows_loopback=False) == {"active": False}
    assert issues_of(b'{"name": null, "events": ["x"]}', is_new=False) == [
        ("name", "required"),
        ("events", "unknown_event"),
    ]


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://example.com",
            "https://example.com/",
            "https://EXAMPLE.com/a/b?c=d&e=%20",
            "https://example.com?x",
            "https://example.com:8443/hook",
            "https://xn--bcher-kva.example/",
            "https://under_score.example/",
            "https://93.184.216.34/hook",
            "https://localhost/",  # the guard decides
        ],
    )
    def test_good(self, url: str) -> None:
        assert is_webhook_url(url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "example.com",
            "//example.com/",
            "http://example.com/",
            "HTTPS://example.com/",
            "ftp://example.com/",
            "https://",
            "https:///hook",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "https://example.com/ ",
            " https://example.com/",
            "https://example.com/\n",
            "https://example.com\\@evil.example/",
            "https://exa mple.com/",
            "https://example..com/",
            "https://-example.com/",
            "https://bücher.example/",
            "https://example.com/ü",
            "https://example.com/%zz",
            "https://example.com:0/",
            "https://example.com:65536/",
            "https://example.com:port/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://[::1]/",
            "https://1.2.3.256/",
            "http://localhost/",
            "http://127.0.0.1:8000/",
        ],
    )
    def test_bad(self, url: str) -> None:
        assert not is_webhook_url(url)

    @pytest.mark.parametrize(
        ("url", "is_good"),
        [
            ("http://localhost:8000/hook", True),
            ("http://127.0.0.1/", True),
            ("http://[::1]:1/", True),
            ("http://127.0.0.2/", False),
            ("http://localhost.example/", False),
            ("http://localhost@example.com/", False),
            ("http://10.0.0.1/", False),
        ],
    )
    def test_in_development_also_this_machine(self, url: str, is_good: bool) -> None:
        assert is_webhook_url(url, allows_loopback=True) is is_good

    @given(
        st.one_of(
            st.text(max_size=80),
            st.text(alphabet="htps:/.@#?[]\\%0x:1 \n\t", max_size=30).map("https://a.example".__add__),
            st.from_regex(r"https://[a-z0-9.:@-]{1,20}[/?#]?[!-~]{0,10}", fullmatch=True),
        )
    )
    def test_whatever_is_let_in_is_read_alike_by_those_who_call_it(self, url: str) -> None:
        if is_webhook_url(url):
            self.check(url)

    @given(st.from_regex(URL_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")))
    def test_what_the_documentation_calls_good_is(self, url: str) -> None:
        assert is_webhook_url(url.rstrip("\n")) or len(url) > MAX_URL
        self.check(url.rstrip("\n"))

    def check(self, url: str) -> None:
        parsed = httpx.URL(url)
        assert parsed.scheme == "https"
        assert (parsed.userinfo, parsed.fragment) == (b"", "")
        authority = url.removeprefix("https://").partition("/")[0].partition("?")[0]
        assert parsed.raw_host.decode() == authority.partition(":")[0].lower()
        assert parsed.port is None or 0 < parsed.port < 65536
        assert re.fullmatch(rb"[!-~]+", parsed.raw_path)


def test_a_secret_is_long_and_its_preview_short() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    for secret in secrets:
        assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}", secret)
        assert is_secret(secret)
        assert preview(secret) == f"whsec_…{secret[-4:]}"
    assert preview("0123456789abcdef") == "…cdef"
