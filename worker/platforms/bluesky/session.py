"""Logging in, believing only what fits, and logging out again."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import structlog

from connections.bluesky.app_password import AppPassword
from connections.bluesky.identifier import Did
from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    IdentityUnusable,
    InvalidIdentity,
    MainPasswordRejected,
    PlatformError,
    TemporaryFailure,
)
from connections.verified import Session
from worker.circuit import Circuits
from worker.egress import Egress, Response
from worker.pace import Pace, promptly
from worker.platforms.bluesky import xrpc
from worker.platforms.bluesky.documents import origin_in
from worker.platforms.bluesky.errors import from_answer, unreachable
from worker.platforms.bluesky.identity import Identity
from worker.platforms.bluesky.lexicon import (
    CREATE_SESSION,
    DELETE_SESSION,
    DESCRIBE_SERVER,
    GET_REPO_STATUS,
    REFRESH_SESSION,
    CreatedSession,
    Document,
    Malformed,
    find_refresh_token,
    read_error_name,
    read_repo_status,
    read_session,
)
from worker.platforms.bluesky.tokens import scope_of, session_of
from worker.platforms.bluesky.xrpc import Server

log = structlog.get_logger()

# Kept back from the login, so that a session we refuse can still be ended within the deadline: so many seconds, or this
# share of a short deadline.
CLEAN_UP_SECONDS = 1.0
CLEAN_UP_SHARE = 0.25

# A login is not begun with less: cut off on its way it may be made all the same, and its session is nobody's.
LEAST_SECONDS = 1.0

# Seconds for a second look at a rejection: worth a moment, not the whole attempt.
STATUS_SECONDS = 3.0

# Seconds for a look at what is left of the server's rate limit.
LOOK_SECONDS = 3.0

_SCOPES_REFUSED: Mapping[str, type[InvalidIdentity]] = {
    "com.atproto.access": MainPasswordRejected,
    "com.atproto.takendown": AccountUnavailable,
}
STATUSES_UNAVAILABLE = frozenset({"takendown", "suspended"})
_ALREADY_ENDED = frozenset({"ExpiredToken", "InvalidToken"})


class Sessions:
    """Opens and ends sessions at the account's own PDS. Used by many threads at once."""

    def __init__(self, egress: Egress, circuits: Circuits, pace: Pace, *, refreshes: Circuits) -> None:
        """`circuits` are those of logins. A host that refreshes no session may open them all the same."""
        self._egress = egress
        self._circuits = circuits
        self._refreshes = refreshes
        self._pace = pace

    def open(self, identity: Identity, password: AppPassword, *, deadline: float) -> Session:
        """Logs in once, as the DID: it names the account whatever its handle does meanwhile, and however callers spell
        the handle, all tries draw on one bucket of the rate limit, which is not the one its owner logs in with.

        Raises what `open_at` raises, and `AccountUnavailable` for an account whose login is refused because it is taken
        down.
        """
        pds = Server(identity.pds)
        try:
            _, session = self.open_at(
                pds, identity.did, password, believe=partial(believe, identity=identity), deadline=deadline
            )
        except CredentialsRejected as rejected:
            with promptly():
                self.explain_rejection(pds, identity.did, rejected, deadline=deadline)
            raise
        return session

    def open_at(
        self,
        server: Server,
        identifier: str,
        password: AppPassword,
        *,
        believe: Callable[[CreatedSession], Identity],
        deadline: float,
    ) -> tuple[Identity, Session]:
        """Logs in once. `believe` says whose session it is, or raises an `InvalidIdentity` when it is not to be kept.

        Raises `CredentialsRejected`, an `InvalidIdentity` or `TemporaryFailure`. A session that is not kept, because it
        fails a check or its answer makes no sense, is ended before the error is raised.
        """
        with self._circuits.watch(server.origin, identifier, deadline=deadline):
            self._look(server, deadline)
            answer = self._log_in(server, identifier, password, deadline)
            try:
                created = read_created(answer, hint=password.hint)
                identity = believe(created)
                check_usable(created)
            except PlatformError:
                with promptly():
                    self._discard(server, answer, deadline)
                raise
        return identity, session_of(created.access_token, created.refresh_token)

    def explain_rejection(self, server: Server, did: Did, rejected: CredentialsRejected, *, deadline: float) -> None:
        """Raises `AccountUnavailable` when the login was refused because the account is taken down: an app password is
        answered like a wrong one then, and the account's public status tells them apart."""
        if self._is_taken_down(server, did, deadline):
            raise AccountUnavailable(provider=rejected.provider) from rejected

    def end(self, server: Server, refresh_token: str, *, deadline: float) -> None:
        """Ends a session. Raises `TemporaryFailure` when the server does not confirm, or a `Refusal` when it can no
        longer be called at all."""
        answer = xrpc.procedure(self._egress, server, DELETE_SESSION, token=refresh_token, deadline=deadline)
        if answer.status == 200 or read_error_name(answer.body) in _ALREADY_ENDED:
            return
        raise from_answer(DELETE_SESSION, answer)

    def refresh(self, server: Server, did: Did, refresh_token: str, *, deadline: float) -> CreatedSession:
        """Replaces a refresh token. Until the answer has come, and for some time after that, the old one works as well.

        Raises `SessionEnded` or `AccountUnavailable` when the server says so by name, and `TemporaryFailure` whatever
        else happens: a session is worth more than a server's bad day.
        """
        with self._refreshes.watch(server.origin, did, deadline=deadline):
            answer = xrpc.procedure(
                self._egress, server, REFRESH_SESSION, token=refresh_token, deadline=deadline, least=LEAST_SECONDS
            )
            if answer.status != 200:
                raise self._refusal(server, did, answer, deadline)
            try:
                refreshed = read_session(answer.body)
            except Malformed as exc:
                raise unreachable(answer.status) from exc
            if refreshed.did != did:
                raise unreachable(answer.status)
        return refreshed

    def discard(self, server: Server, refresh_token: str, *, deadline: float) -> None:
        """Ends a session that is not kept, as well as it can be."""
        try:
            self.end(server, refresh_token, deadline=deadline)
        except PlatformError as exc:
            log.warning("refused_session_not_ended", host=server.origin, cause=exc.code)

    def _refusal(self, server: Server, did: Did, answer: Response, deadline: float) -> PlatformError:
        """That a server does not know the account comes under a name that means anything (`InvalidRequest`), so it is
        asked once more, by a call that has a name for it."""
        if answer.status == 400 and read_error_name(answer.body) == "InvalidRequest":
            deadline = min(deadline, time.monotonic() + STATUS_SECONDS)
            asked = xrpc.query(self._egress, server, GET_REPO_STATUS, {"did": did}, deadline=deadline)
            if asked.status == 400 and read_error_name(asked.body) == "RepoNotFound":
                return from_answer(REFRESH_SESSION, asked)
        return from_answer(REFRESH_SESSION, answer)

    def _log_in(self, server: Server, identifier: str, password: AppPassword, deadline: float) -> Response:
        body = {"identifier": identifier, "password": password.secret}
        reserve = min(CLEAN_UP_SECONDS, CLEAN_UP_SHARE * (deadline - time.monotonic()))
        return xrpc.procedure(
            self._egress,
            server,
            CREATE_SESSION,
            body=body,
            deadline=deadline - reserve,
            login_of=identifier,
            least=LEAST_SECONDS,
        )

    def _look(self, server: Server, deadline: float) -> None:
        """The answer to a login shows the tightest bucket, the account's: how the host's fares, another call tells."""
        if self._pace.wants_look(server.host):
            deadline = min(deadline, time.monotonic() + LOOK_SECONDS)
            with suppress(TemporaryFailure):
                xrpc.query(self._egress, server, DESCRIBE_SERVER, {}, deadline=deadline)

    def _is_taken_down(self, pds: Server, did: Did, deadline: float) -> bool:
        deadline = min(deadline, time.monotonic() + STATUS_SECONDS)
        try:
            answer = xrpc.query(self._egress, pds, GET_REPO_STATUS, {"did": did}, deadline=deadline)
            status = read_repo_status(answer.body) if answer.status == 200 else None
        except (PlatformError, Malformed):
            return False
        return status in STATUSES_UNAVAILABLE

    def _discard(self, server: Server, answer: Response, deadline: float) -> None:
        refresh_token = find_refresh_token(answer.body)
        if refresh_token is None:
            return
        self.discard(server, refresh_token, deadline=deadline)


def read_created(answer: Response, *, hint: str | None) -> CreatedSession:
    """Raises the error that the answer amounts to, `UpstreamFailed` when it is a success without a usable session.

    `hint` goes along with rejected credentials.
    """
    if answer.status != 200:
        raise from_answer(CREATE_SESSION, answer, hint=hint)
    try:
        return read_session(answer.body)
    except Malformed as exc:
        raise unreachable(answer.status) from exc


def believe(created: CreatedSession, identity: Identity) -> Identity:
    """`identity`, which was asked for. Raises `IdentityUnusable` when the session is another account's.

    The DID is compared first: a PDS can claim to have logged in anyone.
    """
    if created.did != identity.did:
        raise IdentityUnusable("The account's server logged in another account.")
    if created.document and not is_about(created.document, identity):
        raise IdentityUnusable("The account's server says that the account lives elsewhere.")
    return identity


def check_usable(created: CreatedSession) -> None:
    """Raises the `InvalidIdentity` that fits when the session is not one to keep."""
    refused = _SCOPES_REFUSED.get(scope_of(created.access_token) or "")
    if refused:
        raise refused()
    if not created.is_active:
        raise AccountUnavailable


def is_about(document: Document, identity: Identity) -> bool:
    """Whether a document agrees with what is known of the account; naming no server at all contradicts nothing."""
    return document.id == identity.did and (document.pds_endpoint is None or origin_in(document) == identity.pds)
