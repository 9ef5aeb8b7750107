"""Every error a caller can see, one tree.

    ConnectorError                    carries code, source, retryability; knows how to describe itself
    ├── RequestError                  the request is at fault: fix it and send it again
    │   ├── Unauthorized              no, malformed, unknown, revoked or expired API key
    │   ├── Forbidden                 a key that works, without the scope that this needs
    │   ├── ValidationFailed          the body is wrong, one issue per field
    │   ├── BadRequest                the HTTP request itself is malformed
    │   ├── NotFound                  no such route, task or account
    │   ├── MethodNotAllowed
    │   ├── PayloadTooLarge
    │   ├── UnsupportedMediaType
    │   ├── IdempotencyKeyReused      for another request than the first one
    │   ├── ReconnectRequired         the account has no session
    │   ├── Canceled                  with its batch, before it was tried
    │   ├── ProfileNameTaken          by another profile of the workspace
    │   ├── ProfileInUse              by accounts that are connected, or by those that are being connected
    │   └── RateLimited               too much of it; the same request later is fine
    ├── ServiceError                  we are at fault
    │   ├── InternalError             a bug; the cause is only in the log
    │   ├── QueueUnavailable          the task is stored, the queue could not be told yet
    │   ├── ServiceUnavailable        the database does not answer
    │   │   ├── KeyUnavailable        no worker that has the key of these credentials has met them yet
    │   │   └── NoHostedForm          its operator has not said at which address it can be reached
    │   ├── ConnectTimeout            the caller's wait ended, the task goes on
    │   ├── SessionTimeout            the caller's wait for a session ended, and nothing goes on
    │   └── TaskExpired               the task's own time ran out before anyone could finish it
    └── PlatformError                 the outcome of asking the platform
        ├── Refusal                   final, never retried
        │   ├── CredentialsRejected
        │   ├── AlreadyConnected
        │   ├── SessionEnded              of an account that was connected
        │   │   └── AccountMoved          and its new server knows nothing of it
        │   ├── AnotherAccount        the credentials of a reconnect are not this account's
        │   └── InvalidIdentity       one issue on one credential field
        │       ├── InvalidHandle
        │       ├── HandleNotFound
        │       ├── HandleMismatch
        │       ├── IdentityUnusable
        │       ├── HostNotAllowed
        │       ├── MainPasswordRejected
        │       └── AccountUnavailable
        └── TemporaryFailure          worth another try; final only when the tries run out
            ├── UpstreamFailed
            │   └── HostFailing       for everyone, so it was not asked again
            └── UpstreamRateLimited
                └── OutOfBudget       by our own count, so it was not asked

An error's docstring is its default message. Messages are for people and hold no secret, no token and
nothing the platform wrote. Statuses are the API's business: `api_shim.errors` has the table.
"""

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

from connections.contract import (
    ErrorBody,
    ErrorSource,
    Issue,
    NextAction,
    ProviderError,
    RetryPolicy,
    Temporality,
)


class ConnectorError(Exception):
    """Something went wrong."""

    code: ClassVar[str]
    source: ClassVar[ErrorSource] = ErrorSource.UNIPOST
    temporality: ClassVar[Temporality] = Temporality.PERMANENT
    next_action: ClassVar[NextAction] = NextAction.FIX_REQUEST
    is_retriable: ClassVar[bool] = False
    uses_attempt: ClassVar[bool] = True
    """False when the platform was not asked to log in, so that the try costs the task nothing but time."""

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        issues: Sequence[Issue] = (),
        details: dict[str, Any] | None = None,
        provider: ProviderError | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`retry_after` is in seconds from now: what the platform or the service asks the caller to wait."""
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " ")
        super().__init__(self.message)
        self.hint = hint
        self.issues = tuple(issues)
        self.details = details
        self.provider = provider
        self.retry_after = retry_after

    def describe(self, retry_policy: RetryPolicy | None = None) -> ErrorBody:
        """The error object of the wire contract."""
        return ErrorBody(
            code=self.code,
            normalized_code=self.code.lower(),
            message=self.message,
            hint=self.hint,
            next_action=self.next_action,
            is_retriable=self.is_retriable,
            error_source=self.source,
            error_temporality=self.temporality,
            provider_error=self.provider,
            retry_policy=retry_policy,
            issues=list(self.issues) or None,
            details=self.details,
        )


class RequestError(ConnectorError):
    """The request cannot be served as it is."""


class Unauthorized(RequestError):
    """The API key is missing, unknown, revoked or expired."""

    code = "UNAUTHORIZED"


class Forbidden(RequestError):
    """This API key has not the scope that this address needs."""

    code = "FORBIDDEN"


class ValidationFailed(RequestError):
    """The request is not valid."""

    code = "VALIDATION_ERROR"


class BadRequest(RequestError):
    """The HTTP request is malformed."""

    code = "BAD_REQUEST"


class NotFound(RequestError):
    """There is nothing at this address."""

    code = "NOT_FOUND"


class MethodNotAllowed(RequestError):
    """This address does not answer that method."""

    code = "METHOD_NOT_ALLOWED"


class PayloadTooLarge(RequestError):
    """The body is larger than this endpoint accepts."""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """Send the body as application/json."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class IdempotencyKeyReused(RequestError):
    """This Idempotency-Key was used for another request. Send a new key with a new request."""

    code = "IDEMPOTENCY_KEY_REUSED"


class ReconnectRequired(RequestError):
    """This account has no session any more. Connect it again with a new app password."""

    code = "RECONNECT_REQUIRED"
    next_action = NextAction.RECONNECT_ACCOUNT


class Canceled(RequestError):
    """The batch was canceled before this row was tried."""

    code = "CANCELED"


class ProfileNameTaken(RequestError):
    """This workspace has a profile with this name already."""

    code = "PROFILE_NAME_TAKEN"


class ProfileInUse(RequestError):
    """Accounts belong to this profile, or are being connected for it. Disconnect them first."""

    code = "PROFILE_IN_USE"


class RateLimited(RequestError):
    """Too many requests. Wait before the next one."""

    code = "RATE_LIMITED"
    temporality = Temporality.TEMPORARY
    next_action = NextAction.WAIT_AND_RETRY
    is_retriable = True
    uses_attempt = False


class ServiceError(ConnectorError):
    """The service could not do its part."""

    temporality = Temporality.TEMPORARY
    next_action = NextAction.WAIT_AND_RETRY
    is_retriable = True


class InternalError(ServiceError):
    """Something went wrong on our side. The request id finds it in our logs."""

    code = "INTERNAL_ERROR"
    temporality = Temporality.UNKNOWN
    next_action = NextAction.CONTACT_SUPPORT


class QueueUnavailable(ServiceError):
    """The queue cannot be reached right now. The task is stored and will run by itself."""

    code = "QUEUE_UNAVAILABLE"


class ServiceUnavailable(ServiceError):
    """The service cannot reach its database right now. Nothing was stored; try again."""

    code = "SERVICE_UNAVAILABLE"


class KeyUnavailable(ServiceUnavailable):
    """The service cannot open the credentials right now: their key has not arrived where they are needed."""

    uses_attempt = False


class NoHostedForm(ServiceUnavailable):
    """This service has no hosted form: whoever runs it has not set CONNECTOR_PUBLIC_URL."""

    temporality = Temporality.PERMANENT
    next_action = NextAction.CONTACT_SUPPORT
    is_retriable = False


class ConnectTimeout(ServiceError):
    """The account is still being connected. The task goes on; poll it for the outcome."""

    code = "CONNECT_TIMEOUT"


class SessionTimeout(ServiceError):
    """No worker has answered in time. No session was given out; try again."""

    code = "SESSION_TIMEOUT"


class TaskExpired(ServiceError):
    """The task's time ran out before it could be finished. Nothing was connected."""

    code = "CONNECT_TIMEOUT"
    source = ErrorSource.WORKER


class PlatformError(ConnectorError):
    """The platform's answer ended the attempt."""

    source = ErrorSource.PLATFORM


class Refusal(PlatformError):
    """The platform said no. Trying again would not change it."""


class CredentialsRejected(Refusal):
    """Bluesky rejected this handle and app password."""

    code = "UNAUTHORIZED"
    next_action = NextAction.RECONNECT_ACCOUNT


class AlreadyConnected(Refusal):
    """This account is already connected in this workspace."""

    code = "ACCOUNT_ALREADY_CONNECTED"
    source = ErrorSource.UNIPOST


class SessionEnded(Refusal):
    """The account's server has ended the session: its app password was revoked, or the account deleted."""

    code = "SESSION_ENDED"
    next_action = NextAction.RECONNECT_ACCOUNT


class AccountMoved(SessionEnded):
    """The account has moved to another server, which does not know the session."""

    code = "ACCOUNT_MOVED"


class AnotherAccount(Refusal):
    """These credentials open another account than the one that is to be reconnected."""

    code = "ACCOUNT_MISMATCH"
    source = ErrorSource.UNIPOST


class InvalidIdentity(Refusal):
    """The credentials do not name an account that can be connected."""

    code = "VALIDATION_ERROR"
    issue_code: ClassVar[str]
    field: ClassVar[str] = "credentials.handle"

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, provider: ProviderError | None = None
    ) -> None:
        super().__init__(message, hint=hint, provider=provider)
        self.issues = (Issue(field=self.field, code=self.issue_code, message=self.message),)


class InvalidHandle(InvalidIdentity):
    """This is not a handle. A handle looks like alice.bsky.social."""

    issue_code = "invalid_handle"
    source = ErrorSource.UNIPOST


class HandleNotFound(InvalidIdentity):
    """No account has this handle."""

    issue_code = "handle_not_found"


class HandleMismatch(InvalidIdentity):
    """The handle points to an account that does not claim this handle."""

    issue_code = "handle_mismatch"


class IdentityUnusable(InvalidIdentity):
    """The account's identity was deleted or names no usable server."""

    issue_code = "identity_unusable"


class HostNotAllowed(InvalidIdentity):
    """The account's server is not at a public address."""

    issue_code = "host_not_allowed"
    source = ErrorSource.UNIPOST


class MainPasswordRejected(InvalidIdentity):
    """This is the account's main password. Create an app password (Settings → App passwords) and send that."""

    issue_code = "main_password_rejected"
    field = "credentials.app_password"


class AccountUnavailable(InvalidIdentity):
    """The account is taken down, suspended or deactivated."""

    issue_code = "account_unavailable"


class TemporaryFailure(PlatformError):
    """The platform could not answer just now."""

    temporality = Temporality.TEMPORARY
    next_action = NextAction.WAIT_AND_RETRY
    is_retriable = True


class UpstreamFailed(TemporaryFailure):
    """The account's server could not be reached or did not answer properly."""

    code = "UPSTREAM_ERROR"


class HostFailing(UpstreamFailed):
    """A server that is needed for this account is failing for everyone at the moment, so it was not asked."""

    uses_attempt = False


class UpstreamRateLimited(TemporaryFailure):
    """Bluesky's rate limit is used up for now."""

    code = "UPSTREAM_RATE_LIMITED"


class OutOfBudget(UpstreamRateLimited):
    """Bluesky's rate limit would be exceeded, so the server was not asked."""

    uses_attempt = False

    def __init__(self, message: str | None = None, *, host: str = "", retry_after: float | None = None) -> None:
        """`host` is whose budget is used up, for `retry_after` seconds; empty when it is the account's own."""
        super().__init__(message, retry_after=retry_after)
        self.host = host
