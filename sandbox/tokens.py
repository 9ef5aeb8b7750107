"""Access and refresh tokens, and the sessions they stand for.

Source: `@atproto/pds` `account-manager/helpers/auth.ts` and `AccountManager.rotateRefreshToken`.
"""

import base64
import hmac
import json
import secrets
from collections import defaultdict, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sandbox.accounts import AppPassword
from sandbox.clock import Clock
from sandbox.xrpc import invalid_request

ACCESS_SECONDS = 2 * 60 * 60
REFRESH_SECONDS = 90 * 24 * 60 * 60
GRACE_SECONDS = 2 * 60 * 60

# Enough for any test; a benchmark asks for none of them.
_ISSUED_LENGTH = 20_000


class Scope(StrEnum):
    """The `scope` claim of a token."""

    ACCESS = "com.atproto.access"
    REFRESH = "com.atproto.refresh"
    APP_PASS = "com.atproto.appPass"
    APP_PASS_PRIVILEGED = "com.atproto.appPassPrivileged"
    TAKENDOWN = "com.atproto.takendown"


ANY_ACCESS = frozenset({Scope.ACCESS, Scope.APP_PASS, Scope.APP_PASS_PRIVILEGED})
FULL_ACCESS = frozenset({Scope.ACCESS})


def scope_for(app_password: AppPassword | None) -> Scope:
    """The scope of a session opened with this app password, or with the main password (None)."""
    if app_password is None:
        return Scope.ACCESS
    return Scope.APP_PASS_PRIVILEGED if app_password.privileged else Scope.APP_PASS


@dataclass(slots=True)
class RefreshToken:
    """A refresh token that still works; `next_id` names the one that replaced it."""

    id: str
    did: str
    scope: Scope
    expires_at: float
    next_id: str | None = None


class Tokens:
    """Signs and checks the tokens of one host, and keeps its open sessions.

    `issued` has the latest tokens of either kind, so that a test can look for them where they must not be.
    """

    def __init__(self, clock: Clock, audience: str) -> None:
        self._clock = clock
        self._audience = audience
        self._key = secrets.token_bytes(32)
        self._access_header = _encode({"typ": "at+jwt", "alg": "HS256"})
        self._refresh_header = _encode({"typ": "refresh+jwt", "alg": "HS256"})
        self._refresh: dict[str, RefreshToken] = {}
        # By account too: a benchmark opens ten thousand sessions, and asks for those of each account.
        self._of_account: defaultdict[str, dict[str, RefreshToken]] = defaultdict(dict)
        self.issued: deque[str] = deque(maxlen=_ISSUED_LENGTH)

    def open(self, did: str, scope: Scope) -> tuple[str, str]:
        """Open a session: its access token and refresh token. One for a taken down account cannot be refreshed."""
        token_id = _new_id()
        if scope is not Scope.TAKENDOWN:
            expires_at = self._clock.now() + REFRESH_SECONDS
            self._keep(RefreshToken(token_id, did, scope, expires_at))
        return self._sign(did, scope, token_id)

    def rotate(self, token_id: str) -> tuple[str, str] | None:
        """Replace a refresh token, which then lives for two more hours; None when it is revoked.

        Refreshing twice with one token gives a refresh token with the same id.
        """
        now = self._clock.now()
        token = self._refresh.get(token_id)
        if token is None or token.expires_at <= now:
            return None
        token.expires_at = min(token.expires_at, now + GRACE_SECONDS)
        if token.next_id is None:
            token.next_id = _new_id()
        if token.next_id not in self._refresh:
            self._keep(RefreshToken(token.next_id, token.did, token.scope, now + REFRESH_SECONDS))
        return self._sign(token.did, token.scope, token.next_id)

    def revoke(self, token_id: str) -> None:
        """Forget a refresh token, if it is known."""
        token = self._refresh.pop(token_id, None)
        if token is not None:
            del self._of_account[token.did][token_id]

    def revoke_all(self, did: str) -> None:
        """Forget every refresh token of an account."""
        for token in self.live(did):
            self.revoke(token.id)

    def live(self, did: str) -> list[RefreshToken]:
        """The refresh tokens of an account that still work, replaced ones within their grace included."""
        now = self._clock.now()
        return [token for token in self._of_account.get(did, {}).values() if token.expires_at > now]

    def _keep(self, token: RefreshToken) -> None:
        self._refresh[token.id] = self._of_account[token.did][token.id] = token

    def check_access(self, token: str, scopes: frozenset[Scope]) -> str:
        """The DID of an access token. Raises XrpcError (400 ExpiredToken or InvalidToken)."""
        claims = self._verify(token, self._access_header)
        if claims["scope"] not in scopes:
            raise invalid_request("Bad token scope", "InvalidToken")
        return str(claims["sub"])

    def check_refresh(self, token: str, *, allow_expired: bool = False) -> tuple[str, str]:
        """DID and id of a refresh token. Raises XrpcError (400 ExpiredToken or InvalidToken)."""
        claims = self._verify(token, self._refresh_header, allow_expired=allow_expired)
        return str(claims["sub"]), str(claims["jti"])

    def _sign(self, did: str, scope: Scope, refresh_id: str) -> tuple[str, str]:
        issued = int(self._clock.now())
        access = {
            "scope": scope,
            "aud": self._audience,
            "sub": did,
            "iat": issued,
            "exp": issued + ACCESS_SECONDS,
        }
        refresh = {
            "scope": Scope.REFRESH,
            "aud": self._audience,
            "sub": did,
            "jti": refresh_id,
            "iat": issued,
            "exp": issued + REFRESH_SECONDS,
        }
        return self._seal(self._access_header, access), self._seal(self._refresh_header, refresh)

    def _seal(self, header: str, claims: dict[str, Any]) -> str:
        signed = f"{header}.{_encode(claims)}"
        token = f"{signed}.{self._signature(signed)}"
        self.issued.append(token)
        return token

    def _signature(self, signed: str) -> str:
        return _base64url(hmac.digest(self._key, signed.encode(), "sha256"))

    def _verify(self, token: str, header: str, *, allow_expired: bool = False) -> dict[str, Any]:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise invalid_request("Token could not be verified", "InvalidToken")
        given_header, _, payload = signed.partition(".")
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
        if claims["exp"] <= self._clock.now() and not allow_expired:
            raise invalid_request("Token has expired", "ExpiredToken")
        if given_header != header:
            raise invalid_request("Invalid token type", "InvalidToken")
        return claims


def _new_id() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _encode(value: dict[str, Any]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
