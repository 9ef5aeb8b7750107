"""Workspace API keys: made, recognised, never stored.

A key is `up_live_` or `up_test_`, eight visible characters that find its row, and 32 that prove it (190 bits).
Only the SHA-256 is kept: a random key needs no slow hash.
"""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass, field

from connections.repository.workspaces import ApiKeyRow

_ALPHABET = string.ascii_letters + string.digits
_KEY = re.compile(r"(up_(?:live|test)_[A-Za-z0-9]{8})[A-Za-z0-9]{32}")


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A fresh key. `key` is shown once and then gone."""

    key: str = field(repr=False)
    prefix: str
    secret_hash: bytes = field(repr=False)


def new_api_key(*, live: bool) -> NewApiKey:
    prefix = ("up_live_" if live else "up_test_") + _random(8)
    key = prefix + _random(32)
    return NewApiKey(key=key, prefix=prefix, secret_hash=hash_of(key))


def prefix_of(key: str) -> str | None:
    """The visible beginning; None when this cannot be a key."""
    match = _KEY.fullmatch(key)
    return match and match[1]


def hash_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def proves(key: str, row: ApiKeyRow) -> bool:
    """Whether this is the row's key. Takes the same time wherever the two differ."""
    return secrets.compare_digest(hash_of(key), row.secret_hash)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
