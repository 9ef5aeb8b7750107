"""The search finds what is there, in any dress, and nothing else."""

import base64
import gzip
import json
import secrets
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.canary.needles import Needles

PLAIN = "cnry-k3vq-zt7m-2xwp"
ODD = 'Kanärie"n\\vogel & <q7Zr>'
TOKEN = ".".join(secrets.token_urlsafe(75) for _ in range(3))

DRESSES: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "lower case": lambda text: text.lower().encode(),
    "JSON": lambda text: json.dumps({"x": text}).encode(),
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)).encode(),
    "a URL": lambda text: b"?q=" + quote(text, safe="").encode(),
    "repr": lambda text: repr([text]).encode(),
    "repr of bytes": lambda text: repr(text.encode()).encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, second offset": lambda text: base64.b64encode(b"{" + text.encode()),
    "base64, third offset": lambda text: base64.b64encode(b'{"' + text.encode()),
    "JSON in base64": lambda text: base64.b64encode(b"[" + json.dumps(text).encode() + b"]"),
    "base64url": lambda text: base64.urlsafe_b64encode(b"??" + text.encode()),
    "hex": lambda text: text.encode().hex().encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "its beginning": lambda text: text[: len(text) * 3 // 4].encode(),
    "its end": lambda text: text[len(text) // 4 :].encode(),
}


@pytest.mark.parametrize("dress", DRESSES.values(), ids=DRESSES)
@pytest.mark.parametrize("secret", [PLAIN, ODD, TOKEN], ids=["plain", "odd", "token"])
def test_a_secret_is_found_in_any_dress(secret: str, dress: Callable[[str], bytes]) -> None:
    needles = Needles()
    needles.add("the canary", secret)

    assert needles.found_in(b"before " + dress(secret) + b" after") == {"the canary"}


def test_any_twelve_characters_of_a_password_are_enough() -> None:
    needles = Needles()
    needles.add("the canary", PLAIN)

    for start in range(len(PLAIN) - 11):
        assert needles.found_in(PLAIN[start : start + 12].encode())
    for start in range(len(PLAIN) - 10):
        assert not needles.found_in(PLAIN[start : start + 11].encode())


def test_keys_are_found_as_bytes_and_as_their_file_has_them() -> None:
    key, needles = secrets.token_bytes(32), Needles()
    needles.add("the key", key)

    for written in (key, base64.b64encode(key), key.hex().encode(), repr(key).encode()):
        assert needles.found_in(b"\0" * 5000 + written) == {"the key"}


def test_nothing_is_found_where_nothing_is() -> None:
    needles = Needles()
    for secret in (PLAIN, ODD, TOKEN, secrets.token_bytes(32)):
        needles.add("a secret", secret)

    for chance in (secrets.token_bytes(200_000), secrets.token_hex(100_000).encode(), gzip.compress(TOKEN.encode())):
        assert not needles.found_in(chance)
