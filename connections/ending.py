"""What a worker does to the rows of sessions that are to be ended."""

from connections.db import Database
from connections.repository import ending
from connections.repository.ending import RetiredSession
from connections.repository.retiring import END_WITHIN_SECONDS
from connections.vault import Cell, TokenCipher


class Ending:
    """One per worker process, used by its threads. Every method that writes is one transaction."""

    def __init__(self, database: Database, cipher: TokenCipher, *, lease_seconds: float) -> None:
        """`lease_seconds` must be longer than ending a session can take."""
        self._database = database
        self._cipher = cipher
        self._lease = lease_seconds

    def claim(self) -> RetiredSession | None:
        """The next session that is due; None when there is none."""
        with self._database.write() as connection:
            return ending.claim_session(connection, lease=self._lease)

    def refresh_token(self, session: RetiredSession) -> str:
        """Raises `KeyNotHeld` for a key that is not here (yet), `UnreadableSecret` when the token does not decrypt."""
        return self._cipher.decrypt(session.refresh_token, Cell(session.account_id, "refresh_token"))

    def forget(self, session: RetiredSession) -> None:
        """Nothing is left to be done. Changes nothing when another worker has taken the session over."""
        with self._database.write() as connection:
            ending.forget_session(connection, session.id, fence=session.fence)

    def postpone(self, session: RetiredSession, delay: float) -> None:
        """It could not be ended; tried again in `delay` seconds. Changes nothing when another worker has taken it."""
        with self._database.write() as connection:
            ending.postpone_session(connection, session.id, fence=session.fence, delay=delay)


def has_run_out(session: RetiredSession) -> bool:
    """Whether its time was over when it was claimed."""
    return session.claimed_at >= session.expires_at


def ends_by_itself(session: RetiredSession) -> bool:
    """Whether its time is that of the token, which had been replaced already, and not that of our patience."""
    return (session.expires_at - session.retired_at).total_seconds() < END_WITHIN_SECONDS
