"""Handle to DID: who does this name belong to? (AT Protocol, Handle Resolution.)"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context

from connections.bluesky.hosted import HostedService
from connections.bluesky.identifier import TEST_DOMAIN, Did, Handle, parse_did
from connections.errors import (
    AccountUnavailable,
    HandleNotFound,
    HostNotAllowed,
    InvalidHandle,
    PlatformError,
    TemporaryFailure,
)
from connections.settings import Settings
from worker.circuit import Circuits
from worker.egress import (
    AddressRefused,
    BadAnswer,
    Egress,
    EgressError,
    NoSuchName,
    Policy,
    Response,
    TlsFailed,
    UrlRefused,
)
from worker.platforms.bluesky import xrpc
from worker.platforms.bluesky.errors import from_answer, from_egress, unreachable
from worker.platforms.bluesky.lexicon import DESCRIBE_REPO, RESOLVE_HANDLE, Malformed, read_resolved_handle
from worker.ttl_cache import ANY_TIME, TtlCache

# Seconds. The specification allows a day and five minutes. But whoever has just corrected a record should not wait so
# long, and the password of a handle's new owner must not go where the old one lives.
FOUND_SECONDS = 60.0
NOT_FOUND_SECONDS = 60.0
CACHED_HANDLES = 2_000

WELL_KNOWN = Policy(redirects=2, max_body=16 * 1024)
WELL_KNOWN_SECONDS = 5.0

# What traces call a request there.
_SITE = "{handle}/.well-known/atproto-did"

# Most handles have a DNS record, and most nameservers answer sooner than a site takes to shake hands: so long, in
# seconds, the site is spared the visit.
HEAD_START_SECONDS = 0.2

# What a domain does that has a web site but no such file: nobody's handle, rather than a failure.
NOT_A_HANDLES_SITE = (NoSuchName, TlsFailed, UrlRefused, BadAnswer)


class Handles:
    """Resolves handles. Used by many threads at once.

    Three ways lead to the DID. Names under the hosted service's own domain are asked of its entryway, `.test` names in
    development of the local PDS: both know them first-hand, over a connection that is open already. All others are
    looked up in the DNS and at the domain's web site, at the same time unless the DNS is quick.
    """

    def __init__(
        self,
        egress: Egress,
        settings: Settings,
        executor: Executor,
        circuits: Circuits,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._egress = egress
        self._circuits = circuits
        self._executor = executor
        self._known: TtlCache[Handle, Did | None] = TtlCache(CACHED_HANDLES, clock)
        hosted = HostedService.of(settings)
        self._authorities = {hosted.domain: xrpc.Server(hosted.origin, xrpc.OPERATORS)}
        if settings.dev_pds_url:
            self._authorities[TEST_DOMAIN] = xrpc.Server(settings.dev_pds_url)

    def resolve(self, handle: Handle, *, deadline: float, since: float = ANY_TIME) -> Did:
        """The DID, found not before `since`.

        Raises `HandleNotFound` when nobody has it, `HostNotAllowed`, or `TemporaryFailure` when nobody can say.
        """
        remembered = self._known.get(handle, since)
        did = remembered.value if remembered else self._look_up(handle, deadline)
        if remembered is None:
            self._known.put(handle, did, FOUND_SECONDS if did else NOT_FOUND_SECONDS)
        if did is None:
            raise HandleNotFound
        return did

    def explain_not_found(self, handle: str, *, deadline: float) -> PlatformError | None:
        """Why the server that gives out such handles does not resolve this one; None when it has nothing to add.

        `resolveHandle` keeps silent about deactivated and taken down accounts as if they did not exist.
        """
        authority = self._authority_of(handle)
        if authority is None:
            return None
        answer = xrpc.query(self._egress, authority, DESCRIBE_REPO, {"repo": handle}, deadline=deadline)
        if answer.status == 200:
            return unreachable(answer.status)  # resolvable now: just created, or reactivated this moment
        error = from_answer(DESCRIBE_REPO, answer)
        return error if isinstance(error, AccountUnavailable | TemporaryFailure) else None

    def _authority_of(self, handle: str) -> xrpc.Server | None:
        """Who gives out handles under this one's domain, if we know."""
        matches = (authority for domain, authority in self._authorities.items() if handle.endswith("." + domain))
        return next(matches, None)

    def _look_up(self, handle: Handle, deadline: float) -> Did | None:
        authority = self._authority_of(handle)
        if authority is None:
            return self._ask_domain(handle, deadline)
        with self._circuits.watch(authority.origin, handle, deadline=deadline):
            return self._ask_authority(handle, authority, deadline)

    def _ask_authority(self, handle: Handle, authority: xrpc.Server, deadline: float) -> Did | None:
        answer = xrpc.query(self._egress, authority, RESOLVE_HANDLE, {"handle": handle}, deadline=deadline)
        if answer.status != 200:
            error = from_answer(RESOLVE_HANDLE, answer)
            if isinstance(error, HandleNotFound):
                return None
            raise error
        try:
            return parse_did(read_resolved_handle(answer.body))
        except (Malformed, InvalidHandle) as exc:
            raise unreachable(answer.status) from exc

    def _ask_domain(self, handle: Handle, deadline: float) -> Did | None:
        """The DNS wins a conflict, so its answer is waited for even when the site was faster. Trouble at either counts
        only when the other has no DID."""
        record = self._executor.submit(copy_context().run, self._ask_dns, handle, deadline)
        with suppress(TimeoutError, EgressError):
            did = record.result(min(HEAD_START_SECONDS, _seconds_until(deadline)))
            if did is not None:
                return did
        site: Did | None = None
        trouble: PlatformError | None = None
        try:
            site = self._ask_site(handle, deadline)
        except PlatformError as exc:
            trouble = exc
        try:
            did = record.result(_seconds_until(deadline))
        except (TimeoutError, EgressError) as exc:
            if site is None:
                raise unreachable() from exc
            return site
        if did is None and trouble is not None:
            raise trouble
        return did or site

    def _ask_dns(self, handle: Handle, deadline: float) -> Did | None:
        dids = dids_in(self._egress.texts(f"_atproto.{handle}", deadline=deadline))
        if len(dids) > 1:
            raise HandleNotFound("The handle's DNS records name more than one account.")
        return next(iter(dids), None)

    def _ask_site(self, handle: Handle, deadline: float) -> Did | None:
        deadline = min(deadline, time.monotonic() + WELL_KNOWN_SECONDS)
        url = f"https://{handle}/.well-known/atproto-did"
        try:
            answer = self._egress.request("GET", url, deadline=deadline, policy=WELL_KNOWN, template=_SITE)
        except NOT_A_HANDLES_SITE:
            return None
        except AddressRefused as exc:
            raise HostNotAllowed("The handle's web site is not at a public address.") from exc
        except EgressError as exc:
            raise from_egress(exc, is_strangers_host=False) from exc
        if answer.status == 429 or answer.status >= 500:
            raise unreachable(answer.status)
        return did_in(answer)


def dids_in(records: Iterable[bytes]) -> set[Did]:
    """The DIDs that `_atproto` TXT records name. Records of other shape belong to someone else."""
    texts = (record.decode("ascii", "replace") for record in records)
    return {did for text in texts if text.startswith("did=") and (did := _as_did(text.removeprefix("did=")))}


def did_in(answer: Response) -> Did | None:
    """The DID in the answer of `/.well-known/atproto-did`; None when it is any other page."""
    return _as_did(answer.body.decode("ascii", "replace").strip()) if 200 <= answer.status < 300 else None


def _seconds_until(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _as_did(text: str) -> Did | None:
    try:
        return parse_did(text)
    except InvalidHandle:
        return None
