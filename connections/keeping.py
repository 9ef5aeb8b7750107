"""What a worker does to the accounts whose sessions it keeps alive: take some, and store, give up or put off each."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog
from sqlalchemy import Connection

from connections import tracing
from connections.audit import WORKER, Action, AuditEntry, AuditOutcome
from connections.contract import Account, AccountStatus
from connections.db import Database
from connections.errors import AccountMoved, AccountUnavailable, ConnectorError, KeyUnavailable, Refusal
from connections.events import Event, EventType
from connections.repository import audit, outbox, refreshing
from connections.repository.refreshing import GRACE_SECONDS, ClaimedAccount, SessionOnFile
from connections.repository.retiring import retire_sessions
from connections.vault import Cell, EncryptedSession, KeyNotHeld, TokenCipher, UnreadableSecret
from connections.verified import Refreshed, Session, Standing, StoredAccount

log = structlog.get_logger()

# How long a worker may have an account. Longer than any attempt, and short beside the grace of a token.
LONGEST_LEASE_SECONDS = 240.0

_KEY_WAIT_SECONDS = 5.0


class Kept(StrEnum):
    """What has become of a session that was refreshed."""

    STORED = "stored"
    ANOTHERS = "anothers"
    """Another worker has the account now, and with it the same session."""
    ENDED = "ended"
    """The account was disconnected or reconnected meanwhile, so this session is on its way to be ended."""


@dataclass(frozen=True, slots=True)
class PutOff:
    """An account that is let go, to be taken again in `seconds`."""

    account: ClaimedAccount
    seconds: float


class Keeping:
    """One per worker process, used by its threads."""

    def __init__(self, database: Database, cipher: TokenCipher) -> None:
        self._database = database
        self._cipher = cipher

    def claim_due(self, *, limit: int, lease: float) -> list[ClaimedAccount]:
        """Accounts that are due, for `lease` seconds.

        Those that became due within half the grace go ahead of a backlog: a try that failed may have replaced the
        token, and the old one has to be used while it works.
        """
        with self._database.read() as connection:
            overdue = refreshing.seconds_overdue(connection)
        if overdue is None:
            return []
        claimed: list[ClaimedAccount] = []
        with self._database.write() as connection:
            if overdue > GRACE_SECONDS / 2:
                claimed = refreshing.claim_due_accounts(
                    connection, limit=limit, lease=lease, due_within=GRACE_SECONDS / 2
                )
            if len(claimed) < limit:
                claimed += refreshing.claim_due_accounts(connection, limit=limit - len(claimed), lease=lease)
        return claimed

    def claim(self, on_file: SessionOnFile, *, lease: float) -> ClaimedAccount | None:
        """One account, due or not; None while another worker has it, and when it is not as it was `on_file`."""
        with self._database.write_once() as connection:
            return refreshing.claim_account(
                connection, on_file.id, fence=on_file.fence, lease=lease, longest_lease=LONGEST_LEASE_SECONDS
            )

    def session_on_file(self, workspace_id: str, account_id: str) -> SessionOnFile | None:
        with self._database.read() as connection:
            return refreshing.session_on_file(connection, account_id, workspace_id)

    def open(self, account: ClaimedAccount) -> StoredAccount:
        """Raises `KeyUnavailable` for a key that is not here (yet), `UnreadableSecret` for a damaged token."""
        return StoredAccount(
            external_id=account.external_id,
            name=account.account_name,
            host=account.host,
            session=Session(
                access_token=self.open_token(account.id, "access_token", account.access_token),
                refresh_token=self.open_token(account.id, "refresh_token", account.refresh_token),
            ),
        )

    def open_token(self, account_id: str, column: str, token: bytes | None) -> str:
        """As `open`; an empty text for none."""
        try:
            return "" if token is None else self._cipher.decrypt(token, Cell(account_id, column))
        except KeyNotHeld as error:
            log.warning("key_not_held", key=error.key_id)
            raise KeyUnavailable(retry_after=_KEY_WAIT_SECONDS) from error

    def encrypt(self, account: ClaimedAccount, refreshed: Refreshed) -> EncryptedSession:
        """May ask for the keys. Once for a session, so that storing it twice is storing it once."""
        return self._cipher.encrypt_session(account.id, refreshed.session)

    def store(
        self,
        account: ClaimedAccount,
        used: StoredAccount,
        refreshed: Refreshed,
        encrypted: EncryptedSession,
        *,
        refresh_in: float,
    ) -> Kept:
        """Gives the account its next session, which took the place of the one `used`.

        Done again after the confirmation was lost it changes nothing and says the same. If the account is not the
        claim's any more, a session that would live on as nobody's is left to be ended.
        """
        is_active = refreshed.standing is Standing.ACTIVE
        error = None if is_active else _row(AccountUnavailable("The account is deactivated."))
        with self._database.write() as connection:
            is_ours = refreshing.lock_claimed(connection, account.id, fence=account.fence)
            if is_ours:
                refreshing.replace_refreshed(
                    connection,
                    account.id,
                    encrypted,
                    account_name=refreshed.name,
                    host=refreshed.host,
                    access_expires_at=refreshed.session.access_expires_at,
                    refresh_in=refresh_in,
                    error=error,
                )
        return Kept.STORED if is_ours else self._not_stored(account, used, refreshed, encrypted)

    def _not_stored(
        self, account: ClaimedAccount, used: StoredAccount, refreshed: Refreshed, encrypted: EncryptedSession
    ) -> Kept:
        with self._database.read() as connection:
            now = refreshing.session_on_file(connection, account.id, account.workspace_id)
            in_grace = refreshing.tokens_in_grace(connection, account.id)
        if now is not None and now.status == AccountStatus.ACTIVE:
            if now.refresh_token == encrypted.refresh_token:
                return Kept.STORED
            # Refreshing twice with one token gives the same token, so to end this one would be to end the account's.
            if any(self._is(account.id, token, used.session.refresh_token) for token in (now.refresh_token, *in_grace)):
                return Kept.ANOTHERS
        with self._database.write() as connection:
            refreshing.retire_unkept(
                connection,
                account.id,
                platform=account.platform,
                host=refreshed.host,
                refresh_token=encrypted.refresh_token,
                token_key=encrypted.token_key,
            )
        return Kept.ENDED

    def _is(self, account_id: str, stored: bytes | None, token: str) -> bool:
        """Whether a stored refresh token is this one. One that cannot be read is taken for it: to keep a session too
        long is the smaller harm."""
        try:
            return stored is not None and self.open_token(account_id, "refresh_token", stored) == token
        except (KeyUnavailable, UnreadableSecret):
            return True

    def give_up(self, account: ClaimedAccount, refusal: Refusal) -> bool:
        """Notes that the account has to be reconnected, and tells whoever wants to know. False when it is not the
        claim's any more, and nothing was changed."""
        cause = tracing.cause_of(refusal)
        with self._database.write() as connection:
            if isinstance(refusal, AccountMoved) and refreshing.lock_claimed(
                connection, account.id, fence=account.fence
            ):
                retire_sessions(connection, account.id)  # the server before has not ended it, and may be back
            refused = refreshing.give_up_session(
                connection, account.id, fence=account.fence, cause=cause, error=_row(refusal)
            )
            if refused is not None:
                _tell(connection, account.workspace_id, refused, cause)
        return refused is not None

    def fail(self, account: ClaimedAccount, error: ConnectorError, *, retry_in: float) -> None:
        """Notes a failure that says nothing of the session."""
        with self._database.write() as connection:
            refreshing.note_refresh_failure(
                connection, account.id, fence=account.fence, retry_in=retry_in, error=_row(error)
            )

    def put_off(self, claims: Sequence[PutOff]) -> None:
        """Lets go of accounts that nobody was asked about."""
        if claims:
            with self._database.write() as connection:
                refreshing.put_off_refreshes(
                    connection, [(one.account.id, one.account.fence, one.seconds) for one in claims]
                )


def _tell(connection: Connection, workspace_id: str, account: Account, cause: str) -> None:
    event = Event(workspace_id, EventType.ACCOUNT_RECONNECT_REQUIRED, account.id, account, cause)
    outbox.emit(connection, [event])
    entry = AuditEntry(
        workspace_id, WORKER, Action.ACCOUNT_REFUSED, outcome=AuditOutcome.FAILED, account_id=account.id, cause=cause
    )
    audit.record(connection, [entry])


def _row(error: ConnectorError) -> dict[str, object]:
    return error.describe().model_dump(mode="json")
