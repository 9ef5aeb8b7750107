"""Going on with a session: at the server that it was opened at, or at the one that its account lives at now.

As `second_look` has it for logins, nobody is refused on the strength of a memory, and here there is more to lose: a
session that is given up needs its owner. So a refusal counts only when the account's document, looked up afresh, still
names the server that refused. A server that does not answer counts for nothing.
"""

import time
from contextlib import suppress
from typing import NamedTuple

import structlog

from connections.bluesky.hosted import HostedService
from connections.bluesky.identifier import Did, Handle, parse_did, parse_identifier
from connections.errors import (
    AccountMoved,
    AccountUnavailable,
    HostFailing,
    IdentityUnusable,
    InvalidHandle,
    PlatformError,
    Refusal,
    SessionEnded,
    TemporaryFailure,
    UpstreamFailed,
)
from connections.verified import Refreshed, Standing, StoredAccount
from worker.pace import promptly
from worker.platforms.bluesky.documents import Documents, origin_in, pds_origin
from worker.platforms.bluesky.errors import unreachable
from worker.platforms.bluesky.identity import Identities
from worker.platforms.bluesky.lexicon import CreatedSession
from worker.platforms.bluesky.session import STATUSES_UNAVAILABLE, Sessions
from worker.platforms.bluesky.tokens import scope_of, session_of
from worker.platforms.bluesky.xrpc import Server

log = structlog.get_logger()

# Kept back from the first call, for a look at where the account lives and a call there: so many seconds, or this share
# of a short deadline.
SECOND_LOOK_SECONDS = 5.0
SECOND_LOOK_SHARE = 0.25

# Seconds for what is only good to know, while the new tokens wait to be stored.
ASIDE_SECONDS = 4.0

_TAKEN_DOWN = "com.atproto.takendown"


class _Found(NamedTuple):
    """A session, and the server that gave it."""

    session: CreatedSession
    host: str


class Refreshing:
    """Used by many threads at once."""

    def __init__(
        self,
        sessions: Sessions,
        documents: Documents,
        identities: Identities,
        hosted: HostedService,
        *,
        allows_test: bool,
    ) -> None:
        self._sessions = sessions
        self._documents = documents
        self._identities = identities
        self._hosted = hosted
        self._allows_test = allows_test

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        """See `worker.platforms.base.Platform`."""
        did = parse_did(account.external_id)
        found = self._refreshed(account, did, deadline)
        if _is_taken_down(found.session):
            self._discard(found, deadline)
            raise AccountUnavailable
        if not found.session.is_active or _names_another(found):
            found = self._followed(found, did, deadline)
        return Refreshed(
            session=session_of(found.session.access_token, found.session.refresh_token),
            name=self._proved_name(account.name, found.session.handle, did, deadline),
            host=found.host,
            standing=Standing.ACTIVE if found.session.is_active else Standing.DEACTIVATED,
        )

    def _refreshed(self, account: StoredAccount, did: Did, deadline: float) -> _Found:
        started = time.monotonic()
        reserve = min(SECOND_LOOK_SECONDS, SECOND_LOOK_SHARE * (deadline - started))
        try:
            return self._at(account.host, did, account.session.refresh_token, deadline - reserve)
        except HostFailing:
            raise  # it was not asked, so neither is the directory
        except (SessionEnded, AccountUnavailable, UpstreamFailed) as refusal:
            host = self._host_now(did, refusal, deadline, started)
            if host == account.host:
                raise
        try:
            return self._at(host, did, account.session.refresh_token, deadline)
        except SessionEnded as refusal:
            raise AccountMoved(provider=refusal.provider) from refusal

    def _at(self, host: str, did: Did, refresh_token: str, deadline: float) -> _Found:
        try:
            return _Found(self._sessions.refresh(Server(host), did, refresh_token, deadline=deadline), host)
        except (SessionEnded, AccountUnavailable):
            raise
        except Refusal as refusal:
            # Its name is gone, or leads where nobody may call: this time.
            raise unreachable() from refusal

    def _host_now(self, did: Did, reason: PlatformError, deadline: float, since: float) -> str:
        """Where the account lives by its document, found since then. Raises what keeps `reason` from being believed, or
        `reason` itself where there is nowhere else to ask."""
        try:
            return pds_origin(self._documents.fetch(did, deadline=deadline, since=since))
        except IdentityUnusable:
            raise reason from None
        except PlatformError as error:
            if isinstance(reason, UpstreamFailed):
                raise reason from None
            # A directory that fails for everyone says nothing of the account's own server.
            is_known = isinstance(error, TemporaryFailure) and not isinstance(error, HostFailing)
            raise error if is_known else unreachable() from error

    def _followed(self, found: _Found, did: Did, deadline: float) -> _Found:
        """Of an account that says it is not quite there: its session at the server that it has moved to, if it has.

        Raises `AccountMoved`, with the session ended, when that knows nothing of it. Whatever else goes wrong, the
        session is kept as it is.
        """
        started = time.monotonic()
        try:
            host = pds_origin(self._documents.fetch(did, deadline=deadline, since=started))
            if host == found.host:
                return found
            return self._at(host, did, found.session.refresh_token, deadline)
        except SessionEnded as refusal:
            if found.session.is_active:
                return found
            self._discard(found, deadline)
            raise AccountMoved(provider=refusal.provider) from refusal
        except PlatformError as error:
            log.debug("account_not_followed", host=found.host, cause=error.code)
            return found

    def _discard(self, found: _Found, deadline: float) -> None:
        with promptly():
            self._sessions.discard(Server(found.host), found.session.refresh_token, deadline=deadline)

    def _proved_name(self, name: str | None, said: str, did: Did, deadline: float) -> str | None:
        """The handle that the server says the account has now, if it is its own in both directions; else as it was."""
        if said == name:
            return name
        deadline = min(deadline, time.monotonic() + ASIDE_SECONDS)
        with suppress(InvalidHandle, PlatformError):
            handle = parse_identifier(said, hosted_domain=self._hosted.domain, allows_test=self._allows_test)
            if handle == name or not isinstance(handle, Handle):
                return name
            if self._identities.resolve(handle, deadline=deadline, since=time.monotonic()).did == did:
                return handle
        return name


def _is_taken_down(session: CreatedSession) -> bool:
    return session.status in STATUSES_UNAVAILABLE or scope_of(session.access_token) == _TAKEN_DOWN


def _names_another(found: _Found) -> bool:
    """Whether the server itself says that the account lives elsewhere."""
    document = found.session.document
    origin = origin_in(document) if document else None
    return origin is not None and origin != found.host
