"""How a workspace parts from an account. Blocking; call it from a thread."""

from dataclasses import dataclass, replace

from connections.audit import Action, AuditEntry
from connections.contract import Account, AccountStatus, ConnectionType
from connections.db import Database
from connections.errors import NotFound
from connections.events import Event, EventType
from connections.intake import is_id
from connections.repository import audit, outbox
from connections.repository.disconnecting import AccountToLeave, account_to_leave, disconnect_account
from connections.repository.retiring import retire_sessions
from connections.service import Caller


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The account as it is now. `is_new` is false when it had been disconnected before, so that there is nothing to
    end."""

    account: Account
    is_new: bool


class Disconnecting:
    """One per API process, used by its threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def disconnect(self, caller: Caller, account_id: str, *, request_id: str) -> Disconnected:
        """Erases the account's tokens, whether or not its server can be reached: the sessions are left to the workers
        to be ended there. Done again it changes nothing and says the same.

        Raises `NotFound` for an account that does not exist or belongs to another workspace.
        """
        if not is_id(account_id):
            raise _no_such_account()
        with self._database.write() as connection:
            row = account_to_leave(connection, caller.workspace_id, account_id)
            if row is None:
                raise _no_such_account()
            if row.status is AccountStatus.DISCONNECTED:
                return Disconnected(_shown(row), is_new=False)
            account = _shown(replace(row, status=AccountStatus.DISCONNECTED))
            retire_sessions(connection, account_id)
            disconnect_account(connection, account_id)
            audit.record(connection, [_entry(caller, account_id, request_id)])
            outbox.emit(connection, [_event(caller, account)])
        return Disconnected(account, is_new=True)


def _entry(caller: Caller, account_id: str, request_id: str) -> AuditEntry:
    return AuditEntry(
        caller.workspace_id, caller.key_id, Action.ACCOUNT_DISCONNECT, account_id=account_id, request_id=request_id
    )


def _event(caller: Caller, account: Account) -> Event:
    return Event(caller.workspace_id, EventType.ACCOUNT_DISCONNECTED, account.id, account.model_dump(mode="json"))


def _shown(row: AccountToLeave) -> Account:
    return Account(
        id=row.id,
        profile_id=row.profile_id,
        platform=row.platform,
        account_name=row.account_name,
        status=row.status,
        connection_type=ConnectionType(row.connection_type),
        connected_at=row.connected_at,
        external_account_id=row.external_id,
        display_name=row.display_name,
        avatar_url=row.avatar_url,
    )


def _no_such_account() -> NotFound:
    return NotFound("There is no such account.")
