import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.bluesky.identifier import MAX_PASTED, Did, Handle, parse_identifier
from connections.errors import InvalidHandle
from tests.unit.worker.platforms.bluesky.conftest import deterministic

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
ALICE = Handle("alice.bsky.social")

MARKS = [
    chr(point)
    for point in [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]
]


def parse(text: str, *, allows_test: bool = False) -> Handle | Did:
    return parse_identifier(text, hosted_domain="bsky.social", allows_test=allows_test)


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
        "https://bsky.app/profile/alice",
        "https://bsky.app/profile/alice.bsky.social#top",
        "https://bsky.app/profile/%40Alice.bsky.social%20",
        "https://bsky.app/profile/%E2%80%AAalice.bsky.social%E2%80%AC?ref=x",
        "\u202ahttps://bsky.app/profile/alice.bsky.social\u202c",
        "alice\u00ad.bsky.\u200bsocial",
        "\u202aalice.bsky.social\u202c",
        "\u2068@alice.bsky.social\u2069",
        "\ufeffalice.bsky.social\u200f",
        "@@alice.bsky.social",
        "alice.bsky.social.",
        "alice.bsky.social/",
        "alice.bsky.social./",
        "alice.",
        "https://bsky.app/profile/alice.bsky.social.",
        '"alice.bsky.social"',
        " '@alice.bsky.social' ",
        "`alice.bsky.social.`",
        "\u201ealice.bsky.social\u201c",
        "\u00ab\u00a0alice.bsky.social\u00a0\u00bb",
        '"https://bsky.app/profile/alice.bsky.social"',
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
        ("https://bsky.app/profile/did:web:pds.example.com/", "did:web:pds.example.com"),
        ("at://did:web:pds.example.com", "did:web:pds.example.com"),
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
        "@@",
        ".",
        "/",
        '""',
        "alice.bsky.social..",
        "alice.bsky.social//",
        "alice.bsky.social/post",
        "al'ice.bsky.social",
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
        "https://bsky.app/profile/alice.bsky.social%2Fpost",
        "https://bsky.app/profile/alice%2540.bsky.social",
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
        "did:web:pds.example.com.",
        "did:web:pds.example.com/",
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
    "secret",
    ["abcd-efgh-2345-wxyz", "abcd-efgh-2345-wxyz.", "ABCD-efgh-2345-wxyz", "Tr0ub4dor&3", "correct horse battery"],
)
def test_a_password_in_the_wrong_field_is_not_repeated(secret: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(secret)
    assert secret.lower() not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("pasted", "shown"),
    [
        ("alic\uff45.bsky.social", "contains \uff45 (U+FF45 FULLWIDTH LATIN SMALL LETTER E) at position 5"),
        ("@\u0430lice.bsky.social", "contains \u0430 (U+0430 CYRILLIC SMALL LETTER A) at position 1"),
        ("alice.bs\u212ay.social", "contains \u212a (U+212A KELVIN SIGN) at position 9"),
        ("\u0131.bsky.social", "contains \u0131 (U+0131 LATIN SMALL LETTER DOTLESS I)"),
        ("https://bsky.app/profile/%EF%BD%81lice.bsky.social", "U+FF41 FULLWIDTH LATIN SMALL LETTER A"),
        # What has no shape of its own is named and not shown.
        ("alice\x00.bsky\u2028.social", "contains U+2028 LINE SEPARATOR at"),
        ("alice\u0301.bsky.social", "contains U+0301 COMBINING ACUTE ACCENT at"),
        ("alice\ue000.bsky.social", "contains U+E000 an unnamed character at"),
        ("alice\ud800.bsky.social", "contains U+D800 an unnamed character at"),
    ],
)
def test_look_alikes_are_refused_and_named(pasted: str, shown: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(pasted)
    assert shown in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "password", ["Sécrët-Passw0rd!", "pässword", "mein geheimes Wörtchen", "ünter.the bridge", "süßer.die.glocken"]
)
def test_of_a_password_in_the_wrong_field_only_the_character_is_shown(password: str) -> None:
    with pytest.raises(InvalidHandle) as caught:
        parse(password)
    culprit = next(character for character in password if not character.isascii())
    assert f"contains {culprit} (U+{ord(culprit):04X} " in caught.value.message
    pieces = (password[start : start + 5] for start in range(len(password) - 4))
    assert not [piece for piece in pieces if piece in caught.value.message]


LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
TLD = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(
    lambda tld: tld not in {"alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
HANDLE = st.builds(lambda labels, tld: ".".join([*labels, tld]), st.lists(LABEL, min_size=1, max_size=3), TLD)


@deterministic
@given(HANDLE, st.sampled_from(["", "@", " ", "\n@"]), st.sampled_from(MARKS), st.booleans())
def test_every_handle_survives_its_dressings(handle: str, prefix: str, mark: str, upper: bool) -> None:
    dressed = f"{mark}{prefix}{handle.upper() if upper else handle} {mark}"
    assert parse(dressed) == handle


@pytest.mark.parametrize(
    "text",
    [
        "a" * MAX_PASTED,
        "a." * (MAX_PASTED // 2),
        "a-" * (MAX_PASTED // 2),
        "did:web:" + "a-" * 1000,
        "did:web:" + "a." * 1000,
        "https://bsky.app/profile/" + "%41" * 600,
        "https://" * 250,
        "at://" * 400,
        "@" * MAX_PASTED,
        " " * MAX_PASTED,
        "\u202a" * MAX_PASTED,
        "\uff41" * MAX_PASTED,
        "x" * 50_000_000,
    ],
    ids=lambda text: f"{text[:12]!r}",
)
def test_long_inputs_take_no_time(text: str) -> None:
    started = time.thread_time()
    with pytest.raises(InvalidHandle):
        parse(text)
    assert time.thread_time() - started < 0.5  # milliseconds in truth; backtracking would take for ever
