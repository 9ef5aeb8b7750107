"""Every condition of an identity and a session ends in its row of the contract, and every error has a condition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from connections.errors import (
    AccountUnavailable,
    AlreadyConnected,
    AnotherAccount,
    CredentialsRejected,
    HandleMismatch,
    HandleNotFound,
    HostNotAllowed,
    IdentityUnusable,
    InvalidHandle,
    InvalidIdentity,
    MainPasswordRejected,
    PlatformError,
    Refusal,
    SessionEnded,
    TemporaryFailure,
    UpstreamFailed,
    UpstreamRateLimited,
)
from tests.unit.worker.platforms.bluesky.conftest import (
    CREATE,
    DESCRIBE,
    DID,
    HANDLE,
    OTHER_DID,
    PDS,
    RESOLVE,
    STATUS,
    World,
    document,
    session,
    token,
)
from tests.unit.worker.platforms.fakes import PUBLIC, answer, refusal
from worker.egress import NameUnavailable, NoSuchName

WEB = "did:web:alice.example.org"
HOSTED = "alice.bsky.social"

SITE = f"GET {HANDLE}/.well-known/atproto-did"
DIRECTORY = "plc.directory"
WEB_SITE = "GET alice.example.org/.well-known/did.json"
LOGIN = f"POST {PDS}/xrpc/{CREATE}"
LOOK = f"GET {PDS}/xrpc/{STATUS}"
ASK = f"GET bsky.social/xrpc/{RESOLVE}"
FRONT_DOOR = f"POST bsky.social/xrpc/{CREATE}"
WHY = f"GET bsky.social/xrpc/{DESCRIBE}"

INVALID = "VALIDATION_ERROR"

CONTRACT: dict[type[PlatformError], tuple[str, str | None]] = {
    InvalidHandle: (INVALID, "invalid_handle"),
    HandleNotFound: (INVALID, "handle_not_found"),
    HandleMismatch: (INVALID, "handle_mismatch"),
    IdentityUnusable: (INVALID, "identity_unusable"),
    HostNotAllowed: (INVALID, "host_not_allowed"),
    MainPasswordRejected: (INVALID, "main_password_rejected"),
    AccountUnavailable: (INVALID, "account_unavailable"),
    CredentialsRejected: ("UNAUTHORIZED", None),
    AlreadyConnected: ("ACCOUNT_ALREADY_CONNECTED", None),
    UpstreamRateLimited: ("UPSTREAM_RATE_LIMITED", None),
    UpstreamFailed: ("UPSTREAM_ERROR", None),
}


@dataclass(frozen=True)
class Condition:
    """What differs from the world in which Alice connects."""

    name: str
    error: type[PlatformError]
    replies: Mapping[str, bytes] = field(default_factory=dict)
    identifier: str = HANDLE
    records: Sequence[bytes] | Exception = (f"did={DID}".encode(),)
    hosts: Mapping[str, Sequence[str] | Exception] = field(default_factory=dict)


def served(**changes: object) -> dict[str, bytes]:
    """A directory with another document."""
    return {DIRECTORY: answer(200, {**document(), **changes})}


def logged_in(**changes: object) -> dict[str, bytes]:
    return {LOGIN: answer(200, session(**changes))}


def refused(status: int, error: str) -> dict[str, bytes]:
    return {LOGIN: refusal(status, error)}


CONDITIONS = (
    Condition("an e-mail address", InvalidHandle, identifier="alice@mail.example"),
    Condition("a look-alike", InvalidHandle, identifier="\u0430lice.example.com"),
    Condition("a DID of a method nobody can look up", InvalidHandle, identifier="did:key:z6Mk"),
    Condition("no record and no site", HandleNotFound, records=(), hosts={HANDLE: NoSuchName("x")}),
    Condition("a site without the file", HandleNotFound, {SITE: answer(404)}, records=()),
    Condition("two DIDs", HandleNotFound, records=(f"did={DID}".encode(), f"did={OTHER_DID}".encode())),
    Condition("nameservers that fail", UpstreamFailed, records=NameUnavailable("SERVFAIL")),
    Condition("a site inside", HostNotAllowed, records=(), hosts={HANDLE: ["10.0.0.1"]}),
    Condition("a site in trouble", UpstreamFailed, records=(), replies={SITE: answer(503)}),
    Condition(
        "a handle its service does not give out",
        HandleNotFound,
        {
            FRONT_DOOR: refusal(401, "AuthenticationRequired"),
            ASK: refusal(400, "InvalidRequest"),
            WHY: refusal(400, "RepoNotFound"),
        },
        HOSTED,
    ),
    Condition(
        "a handle its service hides",
        AccountUnavailable,
        {
            FRONT_DOOR: refusal(401, "AuthenticationRequired"),
            ASK: refusal(400, "InvalidRequest"),
            WHY: refusal(400, "RepoTakendown"),
        },
        HOSTED,
    ),
    Condition("a handle that was renamed", HandleMismatch, served(alsoKnownAs=["at://alice.new.example.com"])),
    Condition("an unknown DID", IdentityUnusable, {DIRECTORY: answer(404)}, DID),
    Condition("a tombstoned DID", IdentityUnusable, {DIRECTORY: answer(410)}, DID),
    Condition("a directory in trouble", UpstreamFailed, {DIRECTORY: answer(500)}),
    Condition("a directory that talks nonsense", UpstreamFailed, {DIRECTORY: answer(200, content=b"<html>")}),
    Condition("another's document", IdentityUnusable, served(id=OTHER_DID)),
    Condition("no server", IdentityUnusable, served(service=[])),
    Condition("a server that is none", IdentityUnusable, served(service=document(endpoint="ftp://x")["service"])),
    Condition("a server without TLS", IdentityUnusable, served(service=document(endpoint=f"http://{PDS}")["service"])),
    Condition("a server inside", HostNotAllowed, hosts={PDS: ["169.254.169.254"]}),
    Condition("a server that is gone", IdentityUnusable, served(service=document(endpoint="https://x.y")["service"])),
    Condition("a did:web that is gone", IdentityUnusable, identifier=WEB),
    Condition("a did:web inside", HostNotAllowed, identifier=WEB, hosts={"alice.example.org": ["10.0.0.1"]}),
    Condition(
        "a did:web in trouble", UpstreamFailed, {WEB_SITE: answer(502)}, WEB, hosts={"alice.example.org": [PUBLIC]}
    ),
    Condition("a did:web without document", IdentityUnusable, {}, WEB, hosts={"alice.example.org": [PUBLIC]}),
    Condition("a wrong password", CredentialsRejected, refused(401, "AuthenticationRequired")),
    Condition("wrong types", CredentialsRejected, refused(400, "InvalidRequest")),
    Condition("taken down, main password", AccountUnavailable, refused(401, "AccountTakedown")),
    Condition(
        "taken down, app password",
        AccountUnavailable,
        {
            **refused(401, "AuthenticationRequired"),
            LOOK: answer(200, {"did": DID, "active": False, "status": "takendown"}),
        },
    ),
    Condition("deactivated", AccountUnavailable, logged_in(active=False, status="deactivated")),
    Condition("the main password", MainPasswordRejected, logged_in(accessJwt=token("com.atproto.access"))),
    Condition("an e-mail code", MainPasswordRejected, refused(401, "AuthFactorTokenRequired")),
    Condition("a session of another", IdentityUnusable, logged_in(did=OTHER_DID)),
    Condition("a session of elsewhere", IdentityUnusable, logged_in(didDoc=document(endpoint="https://x.y"))),
    Condition("over the limit", UpstreamRateLimited, refused(429, "RateLimitExceeded")),
    Condition("the entryway down", UpstreamFailed, refused(502, "InternalServerError")),
    Condition("the entryway in HTML", UpstreamFailed, refused(502, "UpstreamFailure")),
    Condition("the entryway in nonsense", UpstreamFailed, refused(502, "InvalidResponse")),
    Condition("a success in HTML", UpstreamFailed, {LOGIN: answer(200, content=b"<html>")}),
)


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_ends_in_its_row(world: World, condition: Condition) -> None:
    world.resolver.records[f"_atproto.{HANDLE}"] = condition.records
    world.resolver.hosts.update(condition.hosts)
    for where, reply in condition.replies.items():
        world.reply(where, reply)
    with pytest.raises(PlatformError) as caught:
        world.connect(condition.identifier)
    assert type(caught.value) is condition.error
    code, issue = CONTRACT[condition.error]
    assert caught.value.code == code
    assert [found.code for found in caught.value.issues] == ([issue] if issue else [])


def kinds(parent: type[PlatformError]) -> Iterator[type[PlatformError]]:
    for child in parent.__subclasses__():
        yield child
        yield from kinds(child)


def test_every_error_of_a_platform_has_a_row_and_a_condition() -> None:
    abstract = {Refusal, InvalidIdentity, TemporaryFailure}
    later = {AnotherAccount, SessionEnded, *kinds(SessionEnded)}  # of accounts that are connected
    rows = {(kind.code, getattr(kind, "issue_code", None)) for kind in set(kinds(PlatformError)) - abstract - later}
    assert rows == set(CONTRACT.values())
    # Whether it is connected already is the workspace's to know, not the platform's.
    assert {condition.error for condition in CONDITIONS} == set(CONTRACT) - {AlreadyConnected}
