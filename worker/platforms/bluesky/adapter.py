"""The platform: identifier → identity → known already? → session; in one step where the account's server knows both."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress

import dns.resolver

from connections.bluesky.app_password import AppPassword, tidy
from connections.bluesky.hosted import HostedService
from connections.bluesky.identifier import Did, Handle, parse_identifier
from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    HandleNotFound,
    InvalidHandle,
    PlatformError,
    TemporaryFailure,
)
from connections.settings import Settings, SettingsError
from connections.thread_pool import ThreadPool
from connections.verified import Credentials, Refreshed, Session, StoredAccount, VerifiedAccount
from worker.circuit import Circuits
from worker.egress import Egress
from worker.pace import Pace, promptly
from worker.platforms.base import BeforeLogin
from worker.platforms.bluesky.documents import Documents
from worker.platforms.bluesky.entryway import Entryway
from worker.platforms.bluesky.errors import unreachable
from worker.platforms.bluesky.handles import Handles
from worker.platforms.bluesky.identity import Identities, Identity
from worker.platforms.bluesky.refreshing import Refreshing
from worker.platforms.bluesky.second_look import with_second_look
from worker.platforms.bluesky.session import Sessions
from worker.platforms.bluesky.xrpc import Server


class Bluesky:
    """Implements `worker.platforms.base.Platform`."""

    def __init__(self, settings: Settings, pace: Pace, egress: Egress | None = None) -> None:
        """Raises `SettingsError` when neither the settings nor the system name a nameserver."""
        self._hosted = HostedService.of(settings)
        self._allows_test = settings.dev_pds_url is not None
        self._egress = egress or _egress(settings, pace)
        # Handles are looked up in the DNS and at a web site at once; threads start only as they are needed.
        self._executor = ThreadPool(settings.worker_threads, name="handle-dns")
        # Apart from each other: a stranger's document can name any host as its PDS, the directory too.
        # A host that does not end or refresh a session may open them all the same.
        self._circuits = {kind: Circuits() for kind in ("look_ups", "logins", "refreshes", "endings")}
        look_ups, logins = self._circuits["look_ups"], self._circuits["logins"]
        self._handles = Handles(self._egress, settings, self._executor, look_ups)
        documents = Documents(self._egress, settings, look_ups)
        self._identities = Identities(self._handles, documents)
        self._sessions = Sessions(self._egress, logins, pace, refreshes=self._circuits["refreshes"])
        self._pace = pace
        self._entryway = Entryway(self._hosted, self._sessions, documents)
        self._refreshing = Refreshing(
            self._sessions, documents, self._identities, self._hosted, allows_test=self._allows_test
        )

    def login_name(self, credentials: Credentials) -> str | None:
        with suppress(InvalidHandle):
            identifier = self._parse(credentials)
            if isinstance(identifier, Handle) and self._hosted.gives_out(identifier):
                return identifier
        return None

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return self._pace.ahead(self._hosted.host, names)

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        identifier = self._parse(credentials)
        password = tidy(credentials.password)
        if isinstance(identifier, Handle) and self._hosted.gives_out(identifier) and not looks_first:
            return self._connect_by_name(identifier, password, before_login, deadline)

        def log_in(identity: Identity) -> VerifiedAccount:
            before_login(identity.did, identity.handle)
            return _verified(identity, self._sessions.open(identity, password, deadline=deadline))

        return with_second_look(lambda since: self._resolve(identifier, deadline, since), log_in)

    def _connect_by_name(
        self, handle: Handle, password: AppPassword, before_login: BeforeLogin, deadline: float
    ) -> VerifiedAccount:
        """As `second_look` has it, a refusal counts only once a look-up leads to the same place."""
        started = time.monotonic()
        before_login(None, handle)
        try:
            return _verified(*self._entryway.log_in(handle, password, deadline=deadline))
        except (CredentialsRejected, AccountUnavailable) as refusal:
            with promptly():
                try:
                    identity = self._resolve(handle, deadline, started)
                except TemporaryFailure:
                    raise refusal from None
                before_login(identity.did, handle)
                if self._entryway.answers_for(identity.pds):
                    if isinstance(refusal, CredentialsRejected):
                        self._sessions.explain_rejection(Server(identity.pds), identity.did, refusal, deadline=deadline)
                    raise
        return _verified(identity, self._sessions.open(identity, password, deadline=deadline))

    def _parse(self, credentials: Credentials) -> Handle | Did:
        return parse_identifier(
            credentials.identifier, hosted_domain=self._hosted.domain, allows_test=self._allows_test
        )

    def _resolve(self, identifier: Handle | Did, deadline: float, since: float) -> Identity:
        try:
            return self._identities.resolve(identifier, deadline=deadline, since=since)
        except HandleNotFound as not_found:
            raise self._handles.explain_not_found(identifier, deadline=deadline) or not_found from None

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        return self._refreshing.refresh(account, deadline=deadline)

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        self._end(account.host, account.session.refresh_token, deadline)

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        with self._circuits["endings"].watch(host, account, deadline=deadline):
            self._end(host, refresh_token, deadline)

    def _end(self, host: str, refresh_token: str, deadline: float) -> None:
        try:
            self._sessions.end(Server(host), refresh_token, deadline=deadline)
        except TemporaryFailure:
            raise
        except PlatformError as exc:
            # A refusal here (the host has become unusable) still means: not confirmed.
            raise unreachable() from exc

    def open_circuits(self) -> Mapping[str, int]:
        return {kind: circuits.open_count() for kind, circuits in self._circuits.items()}

    def close(self) -> None:
        """Closes connections and waits for look-ups in flight, seconds at most."""
        self._executor.shutdown(cancel_futures=True)
        self._egress.close()


def _verified(identity: Identity, session: Session) -> VerifiedAccount:
    return VerifiedAccount(external_id=identity.did, name=identity.handle, host=identity.pds, session=session)


def _egress(settings: Settings, pace: Pace) -> Egress:
    try:
        return Egress(settings, pace=pace)
    except dns.resolver.NoResolverConfiguration as exc:
        raise SettingsError("the system names no nameserver; set CONNECTOR_DNS_SERVERS") from exc
