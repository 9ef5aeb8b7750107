"""What a key may do beside the public API. A scope adds and takes nothing away.

A key's scopes are kept as RFC 6749, 3.3, writes them: words with a blank between them.
"""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    SESSIONS = "sessions"
    """To be given the live sessions of its workspace's accounts."""


def written(scopes: Iterable[str]) -> str:
    """In one order, each once."""
    return " ".join(sorted({*scopes}))


def read(text: str) -> frozenset[str]:
    """Those of a later version included, which no one here asks for."""
    return frozenset(text.split())
