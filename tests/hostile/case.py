"""One row of the suite: how the honest internet is spoiled, and what must come of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from itertools import chain, repeat
from typing import Generic, TypeVar

from dns.rcode import Rcode

from tests.hostile.honest import ENTRYWAY, HANDLE, PDS, PLC, WEB
from tests.hostile.wire import Reply

T = TypeVar("T")


class Group(StrEnum):
    HANDLES = "handle syntax"
    INSIDE = "names that lead inside"
    SPELLINGS = "spellings of addresses"
    MIXED = "good and bad addresses"
    REBINDING = "rebinding"
    TXT = "TXT records"
    DID_WEB = "did:web"
    ENDPOINTS = "service endpoints"
    REDIRECTS = "redirects"
    DRIPS = "drips"
    GIANTS = "giants"
    BOMBS = "compression"
    WRONG_IDENTITY = "another's identity"
    DOCUMENTS = "documents"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Expected:
    """The answer, by HTTP status, `code` and the issue's code."""

    status: int
    code: str | None = None
    issue: str | None = None


def refused(issue: str) -> Expected:
    return Expected(422, "VALIDATION_ERROR", issue)


CONNECTED = Expected(201)
REJECTED = Expected(401, "UNAUTHORIZED")
LIMITED = Expected(429, "UPSTREAM_RATE_LIMITED")
FAILED = Expected(500, "UPSTREAM_ERROR")
INVALID = refused("invalid_handle")
NOT_FOUND = refused("handle_not_found")
MISMATCH = refused("handle_mismatch")
UNUSABLE = refused("identity_unusable")
NOT_PUBLIC = refused("host_not_allowed")
MAIN_PASSWORD = refused("main_password_rejected")
UNAVAILABLE = refused("account_unavailable")


@dataclass(frozen=True, slots=True)
class Turns(Generic[T]):
    """One after the other, the last one for ever."""

    values: tuple[T, ...]


def in_turn(value: T | Turns[T]) -> Iterator[T]:
    values = value.values if isinstance(value, Turns) else (value,)
    return chain(values, repeat(values[-1]))


class Dns(Enum):
    """What a nameserver says instead of records."""

    SERVFAIL = Rcode.SERVFAIL
    NXDOMAIN = Rcode.NXDOMAIN


Addresses = tuple[str, ...]
Texts = tuple[tuple[bytes, ...], ...]
"""Records, each of one string or more."""

# To which hosts a socket may open: `name`, or `name:port` unless that is 443.
NOWHERE: frozenset[str] = frozenset()
DIRECTORY = frozenset({PLC})
TO_PDS = DIRECTORY | {PDS}
SITE_ONLY = frozenset({HANDLE})
WEB_ONLY = frozenset({WEB})
WEB_TO_PDS = WEB_ONLY | {PDS}
BY_ENTRYWAY = frozenset({ENTRYWAY})


@dataclass(frozen=True, slots=True)
class Case:
    """`names` (the DNS's addresses), `texts` (its TXT records) and `replies` change the honest internet.

    `pds` is the one host that may learn the password. `can_end` is false where the case leaves no way to end a refused
    session. `logins` is the greatest number of tries.
    `attempt_seconds` is short where only the deadline ends the attempt.
    """

    group: Group
    name: str
    expected: Expected
    dials: frozenset[str]
    handle: str = HANDLE
    names: Mapping[str, Addresses | Turns[Addresses]] = field(default_factory=dict)
    texts: Mapping[str, Texts | Dns] = field(default_factory=dict)
    replies: Mapping[str, Reply | Turns[Reply]] = field(default_factory=dict)
    pds: str = PDS
    can_end: bool = True
    logins: int = 1
    attempt_seconds: float = 1.5
