"""A live session of a connected account, for somebody who waits for it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from connections.contract import AccountStatus
from connections.errors import ReconnectRequired, Refusal, UpstreamFailed
from connections.intake import no_such_account
from connections.repository.refreshing import SessionOnFile
from worker.session_keeper import Held, SessionKeeper

# With less it is not begun: a failure for want of time would be told of the account's server.
_LEAST_SECONDS = 1.5

# Between looks at what another worker is doing.
_LOOK_EVERY_SECONDS = 0.25


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
        """The account's access token, refreshed first when it works for less than `least_seconds`, or does not say for
        how long.

        `deadline` is a `time.monotonic()` instant by which this returns or raises. Raises `NotFound` when the workspace
        has no such account, `ReconnectRequired` when it has no session any more, `TemporaryFailure` when the platform
        cannot be asked just now, and `ServiceUnavailable`.
        """
        ...


class KeptSessions:
    """Implements `LiveSessions`. One per worker process, used by its threads."""

    def __init__(self, keeper: SessionKeeper, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._keeper = keeper
        self._pause = pause

    def live_session(self, workspace_id: str, account_id: str, *, least_seconds: float, deadline: float) -> LiveSession:
        """See `LiveSessions`. An account that another worker has is waited for: two tries with one token would be one
        too many."""
        keeping = self._keeper.keeping
        while True:
            on_file = keeping.session_on_file(workspace_id, account_id)
            if on_file is None:
                raise no_such_account()
            if on_file.status != AccountStatus.ACTIVE or on_file.refresh_token is None:
                raise ReconnectRequired
            if on_file.left is not None and on_file.left >= max(least_seconds, 0.0):
                return self._stored(on_file)
            if deadline - time.monotonic() < _LEAST_SECONDS:
                raise UpstreamFailed("The session is being refreshed.")
            lease = self._keeper.lease_seconds
            started = time.monotonic()
            claimed = keeping.claim(on_file, lease=lease)
            if claimed is not None and (live := self._refreshed(Held(claimed, started + lease), deadline)):
                return live
            if claimed is None:
                if time.monotonic() + _LOOK_EVERY_SECONDS > deadline:
                    raise UpstreamFailed("The session is being refreshed.")
                self._pause(_LOOK_EVERY_SECONDS)

    def _stored(self, on_file: SessionOnFile) -> LiveSession:
        return LiveSession(
            access_token=self._keeper.keeping.open_token(on_file.id, "access_token", on_file.access_token),
            did=on_file.external_id,
            handle=on_file.account_name,
            host=on_file.host,
            expires_at=on_file.access_expires_at,
        )

    def _refreshed(self, held: Held, deadline: float) -> LiveSession | None:
        """None when the account is another than it was: it has lost its session, or has a new one."""
        refreshed = None
        with suppress(Refusal):
            refreshed = self._keeper.refresh(held, deadline=deadline)
        if refreshed is None:
            return None
        return LiveSession(
            access_token=refreshed.session.access_token,
            did=held.account.external_id,
            handle=refreshed.name,
            host=refreshed.host,
            expires_at=refreshed.session.access_expires_at,
        )
