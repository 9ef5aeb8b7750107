"""Return URLs and the prefixes that allow them, also with what is meant to be read in two ways."""

import posixpath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.return_urls import MAX_LENGTH, is_allowed, parse_return_url_prefix

NORMAL_FORMS = {
    "https://app.example.com": "https://app.example.com/",
    "HTTPS://App.Example.COM:443/Done": "https://app.example.com/Done",
    "https://app.example.com:8443/a/": "https://app.example.com:8443/a/",
    "https://app.example.com/a%20b/c;d=1": "https://app.example.com/a%20b/c;d=1",
    "http://localhost:3000": "http://localhost:3000/",
    "http://127.0.0.1:80/x": "http://127.0.0.1/x",
    "https://localhost/x": "https://localhost/x",
}

NO_PREFIXES = [
    "",
    "/path",
    "app.example.com",
    "//app.example.com/",
    "ftp://app.example.com/",
    "javascript:alert(1)",
    "https://",
    "https:///path",
    "https://user@app.example.com/",
    "https://user:word@app.example.com/",
    "https://app.example.com/?",
    "https://app.example.com/?a=b",
    "https://app.example.com/#",
    "https://app.example.com/#a",
    "https://app.example.com:0/",
    "https://app.example.com:65536/",
    "https://app.example.com:/",
    "https://app.example.com\\evil.test/",
    "https://app.example.com /",
    " https://app.example.com/",
    "https://app.example.com/\n",
    "https://app.example.com/\t",
    "https://app.example.com/%",
    "https://app.example.com/%zz",
    "https://app.example.com/a/../b",
    "https://app.example.com/a/%2e%2E/b",
    "https://app.example.com/a/..%2f..%2fb",
    "https://app.example.com/a/..%5cb",
    "https://app.example.com/.",
    "https://*.example.com/",
    "https://bücher.example/",
    "https://[::1]/",
    "http://app.example.com/",
    "http://localhost.example.com/",
    "http://127.0.0.2/",
    "https://app.example.com/" + "a" * MAX_LENGTH,
]


@pytest.mark.parametrize("text", NORMAL_FORMS)
def test_a_prefix_has_one_form(text: str) -> None:
    form = parse_return_url_prefix(text, allows_loopback=True)

    assert form == NORMAL_FORMS[text]
    assert parse_return_url_prefix(form, allows_loopback=True) == form


@pytest.mark.parametrize("text", NO_PREFIXES)
def test_what_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        parse_return_url_prefix(text, allows_loopback=True)


@pytest.mark.parametrize("text", ["http://localhost:3000/", "http://127.0.0.1/"])
def test_without_https_there_is_only_development(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must begin with https://$"):
        parse_return_url_prefix(text, allows_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "https://app.test/done",
        "https://APP.test:443/done",
        "https://app.test/done/",
        "https://app.test/done/a/b",
        "https://app.test/done?state=a&next=https://other.test/?x",
    ],
)
def test_what_is_below_a_prefix_is_allowed(url: str) -> None:
    assert is_allowed(url, ["https://other.test/", "https://app.test/done"])


@pytest.mark.parametrize(
    "url",
    [
        "https://app.test/",
        "https://app.test/done-not",
        "https://app.test/Done",
        "https://app.test/done/../admin",
        "https://app.test/done/%2e%2e/admin",
        "https://app.test/done/..%2fadmin",
        "https://app.test/done#a",
        "http://app.test/done",
        "https://app.test:8443/done",
        "https://app.test./done",
        "https://app.test.evil.test/done",
        "https://app.test@evil.test/done",
        "https://evil.test/https://app.test/done",
        "https://evil.test\\@app.test/done",
        "https:app.test/done",
        "\thttps://app.test/done",
        "https://app.test/done\r\nSet-Cookie: a=b",
        "//app.test/done",
        "",
    ],
)
def test_anything_else_is_not(url: str) -> None:
    assert not is_allowed(url, ["https://app.test/done"])


def test_a_prefix_that_ends_in_a_slash_is_a_folder() -> None:
    assert is_allowed("https://app.test/done/", ["https://app.test/done/"])
    assert is_allowed("https://app.test/done/a", ["https://app.test/done/"])
    assert not is_allowed("https://app.test/done", ["https://app.test/done/"])


def test_without_prefixes_nothing_is_allowed() -> None:
    assert not is_allowed("https://app.test/", [])


ADDRESSES = ["https://", "http://", "app.test", "evil.test", "localhost", "[::1]", ":", ":443", ":80", "@", "?", "#"]
PATHS = ["//", "/", "\\", ".", "..", "..;", "a", "done", "%2e", "%2E%2e", "%2f", "%5c", "%", " ", "\t", "\n", "\0", "é"]
PIECES = st.sampled_from([*ADDRESSES, *PATHS])
PREFIXES = st.sampled_from(
    ["https://app.test/", "https://app.test/done", "https://app.test/done/", "http://localhost/"]
)
URLS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join),
    st.tuples(PREFIXES, st.lists(PIECES, max_size=6).map("".join)).map("".join),
    st.text(max_size=40),
)


@given(url=URLS, prefix=PREFIXES)
def test_what_is_allowed_stays_at_its_origin_and_below_its_path(url: str, prefix: str) -> None:
    if not is_allowed(url, [prefix]):
        return
    allowed, named = urlsplit(url), urlsplit(prefix)
    assert (allowed.scheme, allowed.hostname, allowed.username, allowed.fragment) == (
        named.scheme,
        named.hostname,
        None,
        "",
    )
    assert allowed.port in {None, 443 if named.scheme == "https" else 80}
    resolved = posixpath.normpath(unquote(allowed.path or "/").replace("\\", "/"))
    top = named.path.rstrip("/")
    assert resolved == top or resolved.startswith(f"{top}/")
    assert url.isascii()
    assert url.isprintable()


@given(prefix=PREFIXES, rest=st.from_regex(r"[a-z]{1,5}(/[a-z0-9]{1,5}){0,3}/?(\?[a-z=&]{0,9})?", fullmatch=True))
def test_every_plain_url_below_a_prefix_is_allowed(prefix: str, rest: str) -> None:
    assert is_allowed(prefix + rest if prefix.endswith("/") else f"{prefix}/{rest}", [prefix])


@given(URLS)
def test_a_prefix_that_is_taken_allows_itself(text: str) -> None:
    try:
        form = parse_return_url_prefix(text, allows_loopback=True)
    except ValueError:
        return
    assert is_allowed(form, [form])
    assert is_allowed(text, [form])
