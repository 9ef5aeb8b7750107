"""Foreign errors end here: one table for what the platform answers, one for what the way there does.

Both are searched top down and end in an explicit fallback. What the platform wrote goes no further than its status and
error name, if that is one we know.
"""

import time
from typing import NamedTuple

from connections.contract import ProviderError
from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    HandleNotFound,
    HostNotAllowed,
    IdentityUnusable,
    MainPasswordRejected,
    PlatformError,
    SessionEnded,
    TemporaryFailure,
    UpstreamFailed,
    UpstreamRateLimited,
)
from worker.egress import AddressRefused, EgressError, NoSuchName, Response, UrlRefused
from worker.hints import retry_after
from worker.platforms.bluesky.lexicon import (
    CREATE_SESSION,
    DESCRIBE_REPO,
    REFRESH_SESSION,
    RESOLVE_HANDLE,
    read_error_name,
)

PROVIDER = "bluesky"
DID_DOCUMENT = "DID document"

# What a rate limit that does not say when it ends is given: a refused login is never repeated early, since it counts.
RATE_LIMITED_SECONDS = 60.0

ANY = None
NAMED = "*"  # any name, but a name: the answer comes from a PDS and not from a proxy before it


class Row(NamedTuple):
    """When `call` is answered with `status` and `name`, the outcome is `error`."""

    call: str | None
    status: int | None
    name: str | None
    error: type[PlatformError]

    def matches(self, call: str, status: int, name: str | None) -> bool:
        return (
            self.call in (ANY, call)
            and self.status in (ANY, status)
            and (self.name in (ANY, name) or (self.name == NAMED and name is not None))
        )


ANSWERS = (
    Row(ANY, 429, ANY, UpstreamRateLimited),
    Row(ANY, ANY, "RateLimitExceeded", UpstreamRateLimited),
    # Another try would send the owner another mail.
    Row(CREATE_SESSION, ANY, "AuthFactorTokenRequired", MainPasswordRejected),
    Row(CREATE_SESSION, ANY, "AccountTakedown", AccountUnavailable),
    Row(CREATE_SESSION, ANY, "AccountSuspended", AccountUnavailable),
    Row(CREATE_SESSION, ANY, "AccountDeactivated", AccountUnavailable),
    Row(CREATE_SESSION, 401, "AuthenticationRequired", CredentialsRejected),
    Row(CREATE_SESSION, 400, "InvalidRequest", CredentialsRejected),
    # Refused in words we don't know yet. Never tried again: every try counts against the account.
    Row(CREATE_SESSION, 400, NAMED, CredentialsRejected),
    Row(CREATE_SESSION, 401, NAMED, CredentialsRejected),
    Row(CREATE_SESSION, 403, NAMED, CredentialsRejected),
    # Of a session that was kept, by name and by a PDS, or it lives on: nothing else is told of it than what this says.
    Row(REFRESH_SESSION, 401, "AccountTakedown", AccountUnavailable),
    Row(REFRESH_SESSION, 401, "AccountSuspended", AccountUnavailable),
    Row(REFRESH_SESSION, 400, "ExpiredToken", SessionEnded),
    Row(REFRESH_SESSION, 401, "ExpiredToken", SessionEnded),
    Row(REFRESH_SESSION, 400, "InvalidToken", SessionEnded),
    Row(REFRESH_SESSION, 401, "InvalidToken", SessionEnded),
    Row(REFRESH_SESSION, 401, "AuthenticationRequired", SessionEnded),
    Row(REFRESH_SESSION, 400, "RepoNotFound", SessionEnded),
    Row(CREATE_SESSION, ANY, "MethodNotImplemented", IdentityUnusable),
    Row(CREATE_SESSION, ANY, "XRPCNotSupported", IdentityUnusable),
    Row(RESOLVE_HANDLE, ANY, "HandleNotFound", HandleNotFound),
    Row(RESOLVE_HANDLE, 400, NAMED, HandleNotFound),
    Row(DESCRIBE_REPO, ANY, "RepoTakendown", AccountUnavailable),
    Row(DESCRIBE_REPO, ANY, "RepoSuspended", AccountUnavailable),
    Row(DESCRIBE_REPO, ANY, "RepoDeactivated", AccountUnavailable),
    Row(DESCRIBE_REPO, 400, NAMED, HandleNotFound),
    Row(DID_DOCUMENT, 404, ANY, IdentityUnusable),
    Row(DID_DOCUMENT, 410, ANY, IdentityUnusable),
    # The entryway behind the PDS is down.
    Row(ANY, 502, "InternalServerError", UpstreamFailed),
    Row(ANY, 502, "UpstreamFailure", UpstreamFailed),
    Row(ANY, 502, "InvalidResponse", UpstreamFailed),
    # Whatever else it is (5xx, a redirect, a proxy's own page), it is no verdict on the account.
    Row(ANY, ANY, ANY, UpstreamFailed),
)

# The names of an answer that are passed on: the table's, and XRPC's own (`ResponseType` of the reference source). Any
# other word is a stranger's, who may have been sent a password.
TOLD = frozenset(row.name for row in ANSWERS if row.name) - {NAMED} | {
    "ExpiredToken",
    "Forbidden",
    "InternalServerError",
    "InvalidRequest",
    "InvalidResponse",
    "InvalidToken",
    "MethodNotImplemented",
    "NotAcceptable",
    "NotEnoughResources",
    "PayloadTooLarge",
    "RepoNotFound",
    "UnsupportedMediaType",
    "UpstreamFailure",
    "UpstreamTimeout",
    "XRPCNotSupported",
}

STRANGERS_HOST: dict[type[EgressError], type[PlatformError]] = {
    AddressRefused: HostNotAllowed,
    UrlRefused: IdentityUnusable,
    NoSuchName: IdentityUnusable,
    EgressError: UpstreamFailed,
}


def from_answer(call: str, answer: Response, *, hint: str | None = None) -> PlatformError:
    """The outcome of an answer that is not the one hoped for. `hint` goes along with rejected credentials."""
    name = read_error_name(answer.body)
    error = next(row.error for row in ANSWERS if row.matches(call, answer.status, name))
    provider = ProviderError(
        provider=PROVIDER,
        http_status=answer.status,
        code=name if name in TOLD else None,
        is_transient=issubclass(error, TemporaryFailure),
    )
    if issubclass(error, TemporaryFailure):
        wait = retry_after(answer.headers, now=time.time())
        if wait is None and error is UpstreamRateLimited:
            wait = RATE_LIMITED_SECONDS
        return error(provider=provider, retry_after=wait)
    return error(provider=provider, hint=hint if error is CredentialsRejected else None)


def from_egress(error: EgressError, *, is_strangers_host: bool) -> PlatformError:
    """The outcome of a call that got no answer.

    A host that a stranger named can be at fault for good. One from our own settings cannot: there it is the network.
    """
    if not is_strangers_host:
        return unreachable()
    kind = next(STRANGERS_HOST[ancestor] for ancestor in type(error).__mro__ if ancestor in STRANGERS_HOST)
    return unreachable() if kind is UpstreamFailed else kind()


def unreachable(status: int | None = None) -> UpstreamFailed:
    """No answer, or with `status` one that makes no sense."""
    return UpstreamFailed(provider=ProviderError(provider=PROVIDER, http_status=status, is_transient=True))
