"""The account of a task that has succeeded, within its transaction: a new one, or one that is reconnected in place."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from connections import audit
from connections.contract import Account, AccountStatus, ConnectionType
from connections.errors import AlreadyConnected, AnotherAccount, NotFound, ServiceUnavailable
from connections.events import Event, EventType
from connections.intake import no_such_account
from connections.repository import accounts, attempts, linking, outbox, reconnecting
from connections.repository import audit as audit_log
from connections.repository.accounts import NewAccount
from connections.repository.attempts import ClaimedTask
from connections.repository.retiring import retire_sessions


def store(connection: Connection, task: ClaimedTask, new: NewAccount) -> Account | None:
    """The account as it is stored; None when the task has it already, because the confirmation of an earlier try was
    lost. Raises `AlreadyConnected`, and `AnotherAccount` for one that is not the one to be reconnected."""
    return _connect(connection, task, new) if task.account_id is None else _reconnect(connection, task, new)


def _connect(connection: Connection, task: ClaimedTask, new: NewAccount) -> Account | None:
    if task.connect_session_id is not None:
        new = _linked(connection, task.connect_session_id, new)
    connected_at = accounts.insert_account(connection, new)
    if connected_at is None:
        if attempts.has_succeeded(connection, task.id, fence=task.fence):
            return None
        refuse_if_connected(connection, task, new.external_id, new.account_name)
        raise AlreadyConnected  # disconnected again between the two statements
    if task.connect_session_id is not None:
        linking.complete_connect_session(connection, task.connect_session_id, new.id)
    return connected(new, connected_at)


def _linked(connection: Connection, connect_session_id: str, new: NewAccount) -> NewAccount:
    user = linking.linked_user(connection, connect_session_id)
    if user is None:
        return new
    return replace(
        new,
        connection_type=ConnectionType.MANAGED,
        external_user_id=user.external_user_id,
        external_user_email=user.external_user_email,
    )


def _reconnect(connection: Connection, task: ClaimedTask, new: NewAccount) -> Account | None:
    kept = accounts.lock_account(connection, task.workspace_id, new.id)
    if attempts.has_succeeded(connection, task.id, fence=task.fence):
        return None
    if kept is None:
        raise no_such_account()
    if kept.external_account_id != new.external_id:
        raise AnotherAccount
    if kept.status is AccountStatus.DISCONNECTED and reconnecting.is_left_since(connection, kept.id, task.created_at):
        raise NotFound("The account was disconnected while it was being reconnected.")
    if task.connect_session_id is not None and kept.status is not AccountStatus.RECONNECT_REQUIRED:
        # Disconnected or reconnected since it was looked for. Stored again it is found to be another case.
        raise ServiceUnavailable
    refuse_if_connected(connection, task, new.external_id, new.account_name)
    retire_sessions(connection, kept.id)
    try:
        account = reconnecting.replace_session(connection, new)
    except IntegrityError as error:
        raise AlreadyConnected from error  # in this very moment, under another id
    if task.connect_session_id is not None:
        linking.complete_connect_session(connection, task.connect_session_id, new.id)
    return account


def account_to_renew(connection: Connection, task: ClaimedTask, external_id: str) -> str | None:
    """The account that has lost its session, and whose user has followed a link to connect it once more."""
    if task.connect_session_id is None:
        return None
    existing = accounts.connected_account(connection, task.workspace_id, task.platform, external_id)
    user = linking.linked_user(connection, task.connect_session_id)
    if existing is None or user is None or existing.status != AccountStatus.RECONNECT_REQUIRED:
        return None
    return existing.id if existing.external_user_id == user.external_user_id else None


def connected(new: NewAccount, connected_at: datetime) -> Account:
    """A new account as the wire tells it."""
    return Account(
        id=new.id,
        profile_id=new.profile_id,
        platform=new.platform,
        account_name=new.account_name,
        status=AccountStatus.ACTIVE,
        connection_type=new.connection_type,
        connected_at=connected_at,
        external_account_id=new.external_id,
        display_name=new.display_name,
        avatar_url=new.avatar_url,
    )


def tell(connection: Connection, stored: Sequence[tuple[ClaimedTask, Account]]) -> None:
    """Notes who has connected these accounts, and leaves word for those who want to hear of it."""
    audit_log.record(connection, [audit.connected(task, account.id) for task, account in stored])
    outbox.emit(
        connection,
        [Event(task.workspace_id, EventType.ACCOUNT_CONNECTED, account.id, account) for task, account in stored],
    )


def refuse_if_connected(connection: Connection, task: ClaimedTask, external_id: str, name: str | None) -> None:
    """Raises `AlreadyConnected` when the workspace has this account, under another id than the task's."""
    existing = accounts.connected_account(connection, task.workspace_id, task.platform, external_id)
    if existing is not None and existing.id != task.account_id:
        shown = existing.account_name or name or external_id
        raise AlreadyConnected(f"{shown} is already connected in this workspace.", details={"account_id": existing.id})
