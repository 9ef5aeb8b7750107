"""What a platform is given and what it gives back."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the caller sent, opened for the length of one attempt. Never printed."""

    identifier: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A live session, to be stored encrypted. Never printed."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


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
