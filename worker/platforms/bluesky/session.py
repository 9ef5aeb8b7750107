"""Logging in, believing only what fits, and logging out again."""

import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping

import structlog
from pydantic_core import from_json

from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    IdentityUnusable,
    InvalidIdentity,
    MainPasswordRejected,
    PlatformError,
)
from connections.verified import Session
from worker.egress import Egress, Response
from worker.platforms.bluesky import xrpc
from worker.platforms.bluesky.app_password import AppPassword
from worker.platforms.bluesky.errors import from_answer, unreachable
from worker.platforms.bluesky.identifier import Did
from worker.platforms.bluesky.identity import Identity
from worker.platforms.bluesky.lexicon import (
    CREATE_SESSION,
    DELETE_SESSION,
    GET_REPO_STATUS,
    CreatedSession,
    Malformed,
    read_error_name,
    read_repo_status,
    read_session,
)
from worker.platforms.bluesky.xrpc import Server

log = structlog.get_logger()

# Kept back from the login, so that a session we refuse can still be ended within the deadline: so many seconds, or this
# share of a short deadline.
CLEAN_UP_SECONDS = 1.0
CLEAN_UP_SHARE = 0.25

# Seconds for a second look at a rejection: worth a moment, not the whole attempt.
STATUS_SECONDS = 3.0

# Visible ASCII, as a header can carry it (RFC 6750 allows less; tokens are opaque to us).
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")

_SCOPES_REFUSED: Mapping[str, type[InvalidIdentity]] = {
    "com.atproto.access": MainPasswordRejected,
    "com.atproto.takendown": AccountUnavailable,
}
_STATUSES_UNAVAILABLE = frozenset({"takendown", "suspended"})
_ALREADY_ENDED = frozenset({"ExpiredToken", "InvalidToken"})


class Sessions:
    """Opens and ends sessions at the account's own PDS. Used by many threads at once."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def open(self, identity: Identity, password: AppPassword, *, deadline: float) -> Session:
        """Logs in once, as the DID: it names the account whatever its handle does meanwhile, and however callers spell
        the handle, all tries draw on one bucket of the rate limit, which is not the one its owner logs in with.

        Raises `CredentialsRejected`, an `InvalidIdentity` or `TemporaryFailure`. A session that fails a check is ended
        before its error is raised.
        """
        pds = Server(identity.pds)
        answer = self._log_in(pds, identity.did, password, deadline)
        if answer.status != 200:
            error = from_answer(CREATE_SESSION, answer, hint=password.hint)
            raise self._look_closer(error, pds, identity.did, deadline)
        created = read_created(answer)
        refusal = why_not(created, identity.did)
        if refusal:
            self._discard(pds, created, deadline)
            raise refusal
        return Session(created.access_token, created.refresh_token)

    def end(self, server: Server, refresh_token: str, *, deadline: float) -> None:
        """Ends a session. Raises `TemporaryFailure` when the server does not confirm, or a `Refusal` when it can no
        longer be called at all."""
        answer = xrpc.procedure(self._egress, server, DELETE_SESSION, token=refresh_token, deadline=deadline)
        if answer.status == 200 or read_error_name(answer.body) in _ALREADY_ENDED:
            return
        raise from_answer(DELETE_SESSION, answer)

    def _log_in(self, server: Server, identifier: str, password: AppPassword, deadline: float) -> Response:
        body = {"identifier": identifier, "password": password.secret}
        reserve = min(CLEAN_UP_SECONDS, CLEAN_UP_SHARE * (deadline - time.monotonic()))
        return xrpc.procedure(self._egress, server, CREATE_SESSION, body=body, deadline=deadline - reserve)

    def _look_closer(self, error: PlatformError, pds: Server, did: Did, deadline: float) -> PlatformError:
        """An account taken down answers an app password like a wrong one; its public status tells them apart."""
        if not isinstance(error, CredentialsRejected):
            return error
        deadline = min(deadline, time.monotonic() + STATUS_SECONDS)
        try:
            answer = xrpc.query(self._egress, pds, GET_REPO_STATUS, {"did": did}, deadline=deadline)
            status = read_repo_status(answer.body) if answer.status == 200 else None
        except (PlatformError, Malformed):
            return error
        return AccountUnavailable(provider=error.provider) if status in _STATUSES_UNAVAILABLE else error

    def _discard(self, server: Server, created: CreatedSession, deadline: float) -> None:
        try:
            self.end(server, created.refresh_token, deadline=deadline)
        except PlatformError as exc:
            log.warning("refused_session_not_ended", host=server.origin, cause=exc.code)


def read_created(answer: Response) -> CreatedSession:
    """Raises `UpstreamFailed` when the answer is no session that could be used, or ended."""
    try:
        created = read_session(answer.body)
    except Malformed as exc:
        raise unreachable(answer.status) from exc
    if not (_TOKEN.fullmatch(created.access_token) and _TOKEN.fullmatch(created.refresh_token)):
        raise unreachable(answer.status)
    return created


def why_not(created: CreatedSession, did: str) -> InvalidIdentity | None:
    """What is wrong with a session just created for `did`, if anything.

    The DID is compared first: a PDS can claim to have logged in anyone.
    """
    if created.did != did:
        return IdentityUnusable("The account's server logged in another account.")
    refused = _SCOPES_REFUSED.get(scope_of(created.access_token) or "")
    if refused:
        return refused()
    return None if created.is_active else AccountUnavailable()


def scope_of(access_token: str) -> str | None:
    """The `scope` claim of a token, unverified; None when it is no JWT (RFC 7519) or has none.

    Tokens are formally opaque and this one comes from the PDS itself: good enough to refuse by, never to trust.
    """
    parts = access_token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = from_json(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    scope = claims.get("scope") if isinstance(claims, dict) else None
    return scope if isinstance(scope, str) else None
