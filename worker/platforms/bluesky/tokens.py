"""What a token says of itself, unverified.

Tokens are formally opaque, and these come from the account's own server: good enough to refuse by and to plan by, never
to trust.
"""

import time
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from connections.verified import Session

# Seconds. No server's clock is so far ahead, and no token of this protocol lives so long.
_LONGEST_LIFE = 366 * 86_400.0


def scope_of(access_token: str) -> str | None:
    """The `scope` claim; None when the token is no JWT (RFC 7519) or has none."""
    scope = _claims(access_token).get("scope")
    return scope if isinstance(scope, str) else None


def expiry_of(token: str) -> datetime | None:
    """The `exp` claim; None when there is none, or one that makes no sense for a token that was just issued."""
    expiry, now = _claims(token).get("exp"), time.time()
    # A bool is an int, and NaN compares with nothing.
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not now < expiry < now + _LONGEST_LIFE:
        return None
    return datetime.fromtimestamp(expiry, UTC)


def session_of(access_token: str, refresh_token: str) -> Session:
    return Session(access_token, refresh_token, expiry_of(access_token), expiry_of(refresh_token))


def _claims(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = from_json(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
