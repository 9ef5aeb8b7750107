import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.errors import InvalidHandle
from worker.platforms.bluesky.identifier import MAX_SHOWN, Did, Handle, is_handle, parse_did, parse_identifier

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
ALICE = Handle("alice.bsky.social")

MARKS = [chr(point) for point in [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0xFEFF]]


def parse(text: str, *, allows_test: bool = False) -> Handle | Did:
    return parse_identifier(text, hosted_domain="bsky.social", allows_test=allows_test)


def parse_or_refusal(text: str) -> Handle | Did | InvalidHandle:
    try:
        return parse(text)
    except InvalidHandle as refusal:
        return refusal


@pytest.mark.parametrize(
    "pasted",
    [
        "alice.bsky.social",
        "@alice.bsky.social",
        "  alice.bsky.social\n",
        " @Alice.BSKY.social ",
        "alice",
        "@alice",
        "https://bsky.app/profile/alice.bsky.social",
        "http://www.bsky.app/profile/alice.bsky.social/",
        "HTTPS://BSKY.APP/profile/Alice.bsky.social/post/3l4qkbwcxyz2a?ref=1#x",
        "bsky.app/profile/@alice.bsky.social",
        "at://alice.bsky.social",
        "at://alice.bsky.social/app.bsky.feed.post/3l4qkbwcxyz2a",
        "\u202aalice.bsky.social\u202c",
        "\u2068@alice.bsky.social\u2069",
        "\ufeffalice.bsky.social\u200f",
    ],
)
def test_whatever_people_paste_for_a_handle(pasted: str) -> None:
    found = parse(pasted)
    assert found == ALICE
    assert isinstance(found, Handle)


@pytest.mark.parametrize(
    ("pasted", "did"),
    [
        (DID, DID),
        (f" {DID} ", DID),
        (f"https://bsky.app/profile/{DID}", DID),
        ("https://bsky.app/profile/did%3Aplc%3Aewvi7nxzyoun6zhxrhs64oiz", DID),
        (f"at://{DID}/app.bsky.actor.profile/self", DID),
        ("did:web:pds.example.com", "did:web:pds.example.com"),
    ],
)
def test_dids_are_identifiers(pasted: str, did: str) -> None:
    found = parse(pasted)
    assert found == did
    assert isinstance(found, Did)


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "   ",
        "@",
        "alice.bsky.social.",
        ".alice.bsky.social",
        "alice..bsky.social",
        "-alice.bsky.social",
        "alice-.bsky.social",
        "alice_b.bsky.social",
        "alice.bsky.social\nbob.bsky.social",
        "alice bsky social",
        "alice.123",
        "127.0.0.1",
        "https://alice.bsky.social",
        "https://bsky.app/profile/",
        "https://evil.example/profile/alice.bsky.social",
        "https://bs\u212ay.app/profile/alice.bsky.social",
        "a" * 64 + ".bsky.social",
        "a." * 127 + "social",
        "x" * 3000,
        "did:plc:short",
        "did:plc:ewvi7nxzyoun6zhxrhs64oi1",
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        "did:web:localhost",
        "did:web:10.0.0.1",
        "did:web:pds.example.com:8443",
        "did:web:pds.example.com%3A8443",
        "did:web:pds.example.com:users:alice",
        "did:web:pds.internal",
    ],
)
def test_what_is_no_identifier(pasted: str) -> None:
    with pytest.raises(InvalidHandle):
        parse(pasted)


@pytest.mark.parametrize("domain", ["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"])
def test_reserved_domains(domain: str) -> None:
    with pytest.raises(InvalidHandle, match=rf"\.{domain} "):
        parse(f"alice.{domain}", allows_test=True)


def test_test_domain_is_for_development() -> None:
    assert parse("alice.test", allows_test=True) == "alice.test"
    with pytest.raises(InvalidHandle):
        parse("alice.test")


def test_an_address_of_mail_gets_a_hint_and_is_not_repeated() -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse("alice@mail.example")
    assert caught.value.hint is not None
    assert "alice@" not in caught.value.message


@pytest.mark.parametrize(
    "secret", ["abcd-efgh-2345-wxyz", "ABCD-efgh-2345-wxyz", "Tr0ub4dor&3", "correct horse battery"]
)
def test_a_password_in_the_wrong_field_is_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(secret)
    assert secret.lower() not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("pasted", "shown"),
    [
        ("\uff41lice.bsky.social", r"\uff41lice.bsky.social"),
        ("\u0430lice.bsky.social", "U+0430 CYRILLIC SMALL LETTER A"),
        ("alice.bs\u212ay.social", "U+212A KELVIN SIGN"),
        ("\u0131.bsky.social", "LATIN SMALL LETTER DOTLESS I"),
        ("alice\x00.bsky\u2028.social", "U+2028 LINE SEPARATOR"),
    ],
)
def test_look_alikes_are_refused_and_named(pasted: str, shown: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(pasted)
    assert shown in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("password", ["Sécrët-Passw0rd!", "pässword", "mein geheimes Wörtchen", "ünter.the bridge"])
def test_what_may_be_a_password_in_the_wrong_field_is_not_shown(password: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(password)
    assert password[1:] not in caught.value.message
    assert '"' not in caught.value.message


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
TLD = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda tld: tld not in {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
HANDLE = st.builds(lambda labels, tld: ".".join([*labels, tld]), st.lists(LABEL, min_size=1, max_size=3), TLD)


@given(HANDLE, st.sampled_from(["", "@", " ", "\n@"]), st.sampled_from(MARKS), st.booleans())
def test_every_handle_survives_its_dressings(handle: str, prefix: str, mark: str, upper: bool) -> None:
    dressed = f"{mark}{prefix}{handle.upper() if upper else handle} {mark}"
    assert parse(dressed) == handle


@given(st.text(max_size=300) | st.text(string.printable, max_size=80))
def test_any_text_is_a_valid_identifier_or_a_bounded_printable_refusal(text: str) -> None:
    found = parse_or_refusal(text)
    if isinstance(found, InvalidHandle):
        assert len(found.message) < 200
        assert found.message.isprintable()
    else:
        assert is_handle(found) if isinstance(found, Handle) else parse_did(found) == found


def test_the_excerpt_is_bounded() -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(".".join(["\u0430" * 60] * 4))
    assert len(caught.value.message.split('"')[1]) <= MAX_SHOWN
