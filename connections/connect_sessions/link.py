"""What a link ends in. Whoever has it may fill in the form; only its hash is kept."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_BYTES = 32
# Base64url without padding.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Link:
    """`token` is told once, `token_hash` (SHA-256) finds the session again."""

    token: str = field(repr=False)
    token_hash: bytes = field(repr=False)


def new_link() -> Link:
    token = secrets.token_urlsafe(_BYTES)
    return Link(token, _hash(token))


def hash_of(text: str) -> bytes | None:
    """None for a text that no link ends in."""
    return _hash(text) if _TOKEN.fullmatch(text) else None


def _hash(token: str) -> bytes:
    # 256 random bits: nothing that could be found by trying, so no slow hash.
    return hashlib.sha256(token.encode()).digest()
