"""Every condition that was observed or is documented has a row, and every row has a condition."""

import inspect

import pytest

import worker.egress.errors
from connections.errors import (
    AccountUnavailable,
    CredentialsRejected,
    HandleNotFound,
    HostNotAllowed,
    IdentityUnusable,
    MainPasswordRejected,
    PlatformError,
    SessionEnded,
    UpstreamFailed,
    UpstreamRateLimited,
)
from worker.egress import (
    AddressRefused,
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    EgressError,
    NameUnavailable,
    NoSuchName,
    NotAllowed,
    Response,
    TlsFailed,
    TooLarge,
    Unreachable,
    UrlRefused,
)
from worker.platforms.bluesky.errors import ANSWERS, DID_DOCUMENT, RATE_LIMITED_SECONDS, from_answer, from_egress
from worker.platforms.bluesky.lexicon import (
    CREATE_SESSION,
    DELETE_SESSION,
    DESCRIBE_REPO,
    REFRESH_SESSION,
    RESOLVE_HANDLE,
    read_error_name,
)

UNKNOWN = "SomethingNew"  # a word of the server's own, which is passed on to nobody

ANSWERED: list[tuple[str, int, str | None, type[PlatformError]]] = [
    (CREATE_SESSION, 401, "AuthenticationRequired", CredentialsRejected),
    (CREATE_SESSION, 401, "AccountTakedown", AccountUnavailable),
    (CREATE_SESSION, 401, "AccountSuspended", AccountUnavailable),
    (CREATE_SESSION, 400, "AccountDeactivated", AccountUnavailable),
    (CREATE_SESSION, 401, "AuthFactorTokenRequired", MainPasswordRejected),
    (CREATE_SESSION, 400, "InvalidRequest", CredentialsRejected),
    (CREATE_SESSION, 400, UNKNOWN, CredentialsRejected),
    (CREATE_SESSION, 401, UNKNOWN, CredentialsRejected),
    (CREATE_SESSION, 403, "Forbidden", CredentialsRejected),
    (CREATE_SESSION, 400, None, UpstreamFailed),
    (CREATE_SESSION, 401, None, UpstreamFailed),
    (CREATE_SESSION, 403, None, UpstreamFailed),
    (CREATE_SESSION, 501, "MethodNotImplemented", IdentityUnusable),
    (CREATE_SESSION, 404, "XRPCNotSupported", IdentityUnusable),
    (CREATE_SESSION, 429, "RateLimitExceeded", UpstreamRateLimited),
    (CREATE_SESSION, 429, None, UpstreamRateLimited),
    (CREATE_SESSION, 400, "RateLimitExceeded", UpstreamRateLimited),
    (CREATE_SESSION, 502, "InternalServerError", UpstreamFailed),
    (CREATE_SESSION, 502, "UpstreamFailure", UpstreamFailed),
    (CREATE_SESSION, 502, "InvalidResponse", UpstreamFailed),
    (RESOLVE_HANDLE, 400, "InvalidRequest", HandleNotFound),
    (RESOLVE_HANDLE, 404, "HandleNotFound", HandleNotFound),
    (RESOLVE_HANDLE, 400, None, UpstreamFailed),
    (DESCRIBE_REPO, 400, "RepoTakendown", AccountUnavailable),
    (DESCRIBE_REPO, 400, "RepoSuspended", AccountUnavailable),
    (DESCRIBE_REPO, 400, "RepoDeactivated", AccountUnavailable),
    (DESCRIBE_REPO, 400, "RepoNotFound", HandleNotFound),
    (DESCRIBE_REPO, 400, "InvalidRequest", HandleNotFound),
    (DID_DOCUMENT, 404, None, IdentityUnusable),
    (DID_DOCUMENT, 410, None, IdentityUnusable),
    (DID_DOCUMENT, 500, None, UpstreamFailed),
    (DELETE_SESSION, 500, "InternalServerError", UpstreamFailed),
    (REFRESH_SESSION, 401, "AccountTakedown", AccountUnavailable),
    (REFRESH_SESSION, 401, "AccountSuspended", AccountUnavailable),
    *((REFRESH_SESSION, status, "ExpiredToken", SessionEnded) for status in (400, 401)),
    *((REFRESH_SESSION, status, "InvalidToken", SessionEnded) for status in (400, 401)),
    (REFRESH_SESSION, 401, "AuthenticationRequired", SessionEnded),
    (REFRESH_SESSION, 400, "RepoNotFound", SessionEnded),
    (REFRESH_SESSION, 400, "InvalidRequest", UpstreamFailed),
    (REFRESH_SESSION, 400, UNKNOWN, UpstreamFailed),
    (REFRESH_SESSION, 401, None, UpstreamFailed),
    (REFRESH_SESSION, 500, "ExpiredToken", UpstreamFailed),
    (REFRESH_SESSION, 429, None, UpstreamRateLimited),
    # Statuses that mean trouble on the way, whatever is called.
    *((CREATE_SESSION, status, None, UpstreamFailed) for status in (101, 204, 302, 307, 308, 404, 405, 408, 409, 413)),
    *((CREATE_SESSION, status, None, UpstreamFailed) for status in (500, 501, 502, 503, 504, 520, 599)),
]


def refused(status: int, name: str | None) -> Response:
    body = f'{{"error": "{name}", "message": "their words"}}' if name else "<html>their words</html>"
    return Response(status, {}, body.encode())


@pytest.mark.parametrize(("call", "status", "name", "expected"), ANSWERED)
def test_every_documented_answer(call: str, status: int, name: str | None, expected: type[PlatformError]) -> None:
    error = from_answer(call, refused(status, name))
    assert type(error) is expected
    assert error.provider is not None
    assert (error.provider.http_status, error.provider.code) == (status, None if name == UNKNOWN else name)
    assert error.provider.is_transient is error.is_retriable
    assert "their words" not in str(error.describe())


def test_no_row_is_idle() -> None:
    decisive = {
        next(index for index, row in enumerate(ANSWERS) if row.matches(call, status, name))
        for call, status, name, _ in ANSWERED
    }
    assert decisive == set(range(len(ANSWERS)))


def test_a_refused_login_is_never_mistaken_for_a_temporary_failure() -> None:
    names = {name for _, status, name, _ in ANSWERED if status == 401 and name}
    assert not any(from_answer(CREATE_SESSION, refused(401, name)).is_retriable for name in names)


OUTCOMES: dict[type[EgressError], type[PlatformError]] = {
    EgressError: UpstreamFailed,
    NotAllowed: UpstreamFailed,
    UrlRefused: IdentityUnusable,
    AddressRefused: HostNotAllowed,
    NoSuchName: IdentityUnusable,
    Unreachable: UpstreamFailed,
    NameUnavailable: UpstreamFailed,
    ConnectFailed: UpstreamFailed,
    TlsFailed: UpstreamFailed,
    ConnectionLost: UpstreamFailed,
    DeadlineExceeded: UpstreamFailed,
    BadAnswer: UpstreamFailed,
    TooLarge: UpstreamFailed,
}


def test_every_failure_on_the_way_has_an_outcome() -> None:
    kinds = {
        kind for _, kind in inspect.getmembers(worker.egress.errors, inspect.isclass) if issubclass(kind, EgressError)
    }
    assert set(OUTCOMES) == kinds


@pytest.mark.parametrize(("kind", "outcome"), OUTCOMES.items())
def test_what_a_failure_on_the_way_means(kind: type[EgressError], outcome: type[PlatformError]) -> None:
    assert type(from_egress(kind("x"), is_strangers_host=True)) is outcome
    # Our own configuration is never the account's fault.
    assert type(from_egress(kind("x"), is_strangers_host=False)) is UpstreamFailed


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"error": "InvalidToken"}', "InvalidToken"),
        (b'{"error": "Invalid Token"}', None),
        (b'{"error": "<script>"}', None),
        (b'{"error": "1st"}', None),
        (b'{"error": "A%s"}' % (b"a" * 64), None),
        (b'{"error": "Trailing\\n"}', None),
        (b'{"error": 7}', None),
        (b'{"error": {"error": "Nested"}}', None),
        (b'["error"]', None),
        (b"null", None),
        (b"[" * 100_000, None),
        (b"<html>", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_only_a_name_is_taken_from_an_error_answer(body: bytes, name: str | None) -> None:
    assert read_error_name(body) == name


def test_a_rate_limit_that_does_not_say_when_it_ends_is_not_tried_early() -> None:
    assert from_answer(CREATE_SESSION, refused(429, "RateLimitExceeded")).retry_after == RATE_LIMITED_SECONDS
    assert from_answer(CREATE_SESSION, refused(503, None)).retry_after is None
