"""A live session of a connected account, for somebody who waits for it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LiveSession:
    """`did` is the platform's permanent id, `host` the origin to use the token at. `expires_at` is what the token says
    of itself, None when it says nothing."""

    access_token: str = field(repr=False)
    did: str
    handle: str | None
    host: str
    expires_at: datetime | None


class LiveSessions(Protocol):
    """Implementations are used by many threads at once."""

    def live_session(self, workspace_id: str, account_id: str, *, least_seconds: float, deadline: float) -> LiveSession:
        """The account's access token, refreshed first when it works for less than `least_seconds`.

        `deadline` is a `time.monotonic()` instant by which this returns or raises. Raises `NotFound` when the workspace
        has no such account, `ReconnectRequired` when it has no session any more, `TemporaryFailure` when the platform
        cannot be asked just now, and `ServiceUnavailable`.
        """
        ...
