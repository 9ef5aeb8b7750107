"""The hosted service's own front door: it knows first-hand whose handles under its domain are.

A login there needs no look-up first. Its session says whose it is, and where the account lives: one request in place of
three, for the accounts that most people have.
"""

import time

from connections.bluesky.app_password import AppPassword
from connections.bluesky.hosted import HostedService
from connections.bluesky.identifier import Did, Handle, parse_did
from connections.errors import HandleMismatch, IdentityUnusable, InvalidHandle
from connections.verified import Session
from worker.platforms.bluesky import xrpc
from worker.platforms.bluesky.documents import Documents, check_claim, pds_origin
from worker.platforms.bluesky.errors import unreachable
from worker.platforms.bluesky.identity import Identity
from worker.platforms.bluesky.lexicon import CreatedSession, Document
from worker.platforms.bluesky.session import Sessions
from worker.ttl_cache import TtlCache

# Seconds. A server that was taken out of the service is a stranger's the next day.
_REMEMBERED_SECONDS = 86_400.0
# The hosted service has about a hundred.
_SERVERS = 4096


class Entryway:
    """Used by many threads at once."""

    def __init__(self, service: HostedService, sessions: Sessions, documents: Documents) -> None:
        self._sessions = sessions
        self._documents = documents
        self._server = xrpc.Server(service.origin, xrpc.OPERATORS)
        self._servers: TtlCache[str, bool] = TtlCache(_SERVERS)

    def log_in(self, handle: Handle, password: AppPassword, *, deadline: float) -> tuple[Identity, Session]:
        """Logs in once, by a handle of its own.

        Raises what `Sessions.open_at` raises. A rejection does not say whether there is such an account at all, or
        whether it has moved elsewhere.
        """
        identity, session = self._sessions.open_at(
            self._server,
            handle,
            password,
            believe=lambda created: self._believe(created, handle, deadline),
            deadline=deadline,
        )
        self._servers.put(identity.pds, True, _REMEMBERED_SECONDS)
        return identity, session

    def answers_for(self, pds: str) -> bool:
        """Whether its word about accounts at this origin is final: it has logged in others of them, so a login there
        would be the same login once more."""
        return pds == self._server.origin or self._servers.get(pds) is not None

    def _believe(self, created: CreatedSession, handle: Handle, deadline: float) -> Identity:
        """Its word is taken for whose handle it is, as it would be if it was asked for that alone. What document the
        session carries must fit; the directory is asked when it carries none, or an old one."""
        try:
            did = parse_did(created.did)
        except InvalidHandle as exc:
            raise unreachable(200) from exc
        if created.document is not None:
            try:
                return _proved(did, handle, created.document)
            except (HandleMismatch, IdentityUnusable):
                pass
        return _proved(did, handle, self._documents.fetch(did, deadline=deadline, since=time.monotonic()))


def _proved(did: Did, handle: Handle, document: Document) -> Identity:
    """Raises `IdentityUnusable` or `HandleMismatch` when the document is another account's, or names no server."""
    if document.id != did:
        raise IdentityUnusable("The account's identity document belongs to another identity.")
    check_claim(document, handle)
    return Identity(did, handle, pds_origin(document))
