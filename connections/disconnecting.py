"""How a workspace parts from an account. Blocking; call it from a thread."""

from dataclasses import dataclass

from connections.audit import Action, AuditEntry
from connections.contract import Account, AccountStatus
from connections.db import Database
from connections.events import Event, EventType
from connections.intake import is_id, no_such_account
from connections.repository import audit, outbox
from connections.repository.accounts import lock_account
from connections.repository.disconnecting import disconnect_account
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
            raise no_such_account()
        with self._database.write() as connection:
            account = lock_account(connection, caller.workspace_id, account_id)
            if account is None:
                raise no_such_account()
            if account.status is AccountStatus.DISCONNECTED:
                return Disconnected(account, is_new=False)
            account = account.model_copy(update={"status": AccountStatus.DISCONNECTED})
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
    return Event(caller.workspace_id, EventType.ACCOUNT_DISCONNECTED, account.id, account)
