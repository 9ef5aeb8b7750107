"""What a platform is given and what it gives back."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the caller sent, opened for the length of one attempt. Never printed."""

    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A live session, to be stored encrypted. Never printed.

    When its tokens end is what they say themselves: nobody has checked it, and None where they say nothing.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VerifiedAccount:
    """An account whose owner has proved to hold it.

    `external_id` is the platform's permanent id (Bluesky: the DID), `host` the origin that keeps its session.
    """

    external_id: str
    name: str | None
    host: str
    session: Session
    display_name: str | None = None
    avatar_url: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """A connected account as it is kept. `host` is the origin that keeps its session."""

    external_id: str
    name: str | None
    host: str
    session: Session = field(repr=False)


class Standing(StrEnum):
    """Whether the platform lets the account do anything."""

    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    """By its owner, or for another reason that passes. Its session lives on."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A session that takes the place of the one before, and what was learnt of its account on the way."""

    session: Session = field(repr=False)
    name: str | None
    host: str
    standing: Standing = Standing.ACTIVE
