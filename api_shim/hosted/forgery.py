"""Tells a form that was sent from our page, in the browser that the page was shown in, from any other.

Two ways that do not depend on each other: what browsers say of a request's origin (Fetch Metadata), and a token in the
form that belongs to a cookie of the page (OWASP: signed double-submit cookie).
"""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Self

from starlette.requests import Request
from starlette.responses import Response

_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Pledge:
    """What one browser was given to prove itself by."""

    nonce: str = field(repr=False)
    is_new: bool

    @classmethod
    def of(cls, request: Request, origin: str) -> Self:
        """The browser's own, or a new one for a browser that has none: so several tabs have the same."""
        nonce = request.cookies.get(_cookie_name(origin), "")
        known = _NONCE.fullmatch(nonce) is not None
        return cls(nonce if known else secrets.token_urlsafe(32), is_new=not known)

    def keep(self, answer: Response, origin: str) -> None:
        """Gives it to the browser, for as long as that is open and for nobody but this origin."""
        if self.is_new:
            answer.set_cookie(
                _cookie_name(origin),
                self.nonce,
                secure=_is_secure(origin),
                httponly=True,
                # Not "strict": who follows the link once more from elsewhere would get another one, and the form that
                # is still open in the first tab would not be believed. No other site's form is sent with it either way.
                samesite="lax",
            )


def is_ours(request: Request, origin: str, pledge: Pledge, expected: str, sent: str) -> bool:
    """Whether the form comes from our page. `expected` is the token that it should have, `sent` the one it has."""
    is_pledged = not pledge.is_new and hmac.compare_digest(expected.encode(), sent.encode())
    return is_pledged and _says_same_origin(request, origin)


def _says_same_origin(request: Request, origin: str) -> bool:
    """What a browser says of where a request comes from. One that says nothing is not held against it: old ones do not,
    and none says it to plain http; and as our pages tell nobody where their readers come from, `Origin` is `null`."""
    site, sender = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    return site in (None, "same-origin") and sender in (None, "null", origin)


def _cookie_name(origin: str) -> str:
    # The prefix makes the browser see to it that no other host and no plain http has set it.
    return "__Host-connect" if _is_secure(origin) else "connect"


def _is_secure(origin: str) -> bool:
    return origin.startswith("https://")
