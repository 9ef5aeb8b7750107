"""The platform: identifier → identity → known already? → session."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import dns.resolver

from connections.bluesky.app_password import tidy
from connections.bluesky.identifier import parse_identifier
from connections.errors import HandleNotFound, PlatformError, TemporaryFailure
from connections.settings import Settings, SettingsError
from connections.verified import Credentials, VerifiedAccount
from worker.circuit import Circuits
from worker.egress import Egress
from worker.pace import Pace
from worker.platforms.base import BeforeLogin
from worker.platforms.bluesky.documents import Documents
from worker.platforms.bluesky.errors import unreachable
from worker.platforms.bluesky.handles import Handles
from worker.platforms.bluesky.identity import Identities, Identity
from worker.platforms.bluesky.second_look import with_second_look
from worker.platforms.bluesky.session import Sessions
from worker.platforms.bluesky.xrpc import Server


class Bluesky:
    """Implements `worker.platforms.base.Platform`."""

    def __init__(self, settings: Settings, pace: Pace, egress: Egress | None = None) -> None:
        """Raises `SettingsError` when neither the settings nor the system name a nameserver."""
        self._hosted_domain = urlsplit(settings.bluesky_url).hostname or ""
        self._allows_test = settings.dev_pds_url is not None
        self._egress = egress or _egress(settings, pace)
        # Handles are looked up in the DNS and at a web site at once; threads start only as they are needed.
        self._executor = ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="handle-dns")
        # Apart from each other: a stranger's document can name any host as its PDS, the directory too.
        look_ups, logins = Circuits(), Circuits()
        self._handles = Handles(self._egress, settings, self._executor, look_ups)
        self._identities = Identities(self._handles, Documents(self._egress, settings, look_ups))
        self._sessions = Sessions(self._egress, logins, pace)

    def connect(self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin) -> VerifiedAccount:
        identifier = parse_identifier(
            credentials.identifier, hosted_domain=self._hosted_domain, allows_test=self._allows_test
        )
        password = tidy(credentials.password)

        def resolve(since: float) -> Identity:
            try:
                return self._identities.resolve(identifier, deadline=deadline, since=since)
            except HandleNotFound as not_found:
                raise self._handles.explain_not_found(identifier, deadline=deadline) or not_found from None

        def log_in(identity: Identity) -> VerifiedAccount:
            before_login(identity.did, identity.handle)
            session = self._sessions.open(identity, password, deadline=deadline)
            return VerifiedAccount(external_id=identity.did, name=identity.handle, host=identity.pds, session=session)

        return with_second_look(resolve, log_in)

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        try:
            self._sessions.end(Server(account.host), account.session.refresh_token, deadline=deadline)
        except TemporaryFailure:
            raise
        except PlatformError as exc:
            # A refusal here (the host has become unusable) still means: not confirmed.
            raise unreachable() from exc

    def close(self) -> None:
        """Closes connections and waits for look-ups in flight, seconds at most."""
        self._executor.shutdown(cancel_futures=True)
        self._egress.close()


def _egress(settings: Settings, pace: Pace) -> Egress:
    try:
        return Egress(settings, pace=pace)
    except dns.resolver.NoResolverConfiguration as exc:
        raise SettingsError("the system names no nameserver; set CONNECTOR_DNS_SERVERS") from exc
