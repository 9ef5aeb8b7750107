"""Links to the hosted form: made by a workspace, tried by an end user, completed with the account."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update

from connections.connect_sessions.intake import SessionCommand
from connections.contract import ConnectSessionStatus
from connections.models import accounts, connect_sessions, profiles, workspaces
from connections.sqltime import from_now

LIVES_SECONDS = 3600.0
"""For how long a link works."""

MAX_ATTEMPTS = 10
"""How often a link's form may be sent: who has only the link shall not guess passwords with it."""


@dataclass(frozen=True, slots=True)
class ConnectSessionRow:
    """A link as the workspace sees it."""

    id: str
    platform: str
    external_user_id: str
    external_user_email: str | None
    return_url: str | None
    allow_quickstart_creds: bool
    created_at: datetime
    expires_at: datetime
    completed_at: datetime | None
    account_id: str | None
    is_over: bool

    @property
    def status(self) -> ConnectSessionStatus:
        if self.completed_at is not None:
            return ConnectSessionStatus.COMPLETED
        return ConnectSessionStatus.EXPIRED if self.is_over else ConnectSessionStatus.PENDING


@dataclass(frozen=True, slots=True)
class VisitedSession:
    """A link as its page needs it: how to show it, and how far it has come."""

    id: str
    workspace_id: str
    profile_id: str
    platform: str
    return_url: str | None
    expires_at: datetime
    attempts: int
    task_id: str | None
    completed_at: datetime | None
    account_name: str | None
    """Of the account that came of it."""
    workspace_name: str
    display_name: str | None
    logo_url: str | None
    primary_color: str | None
    has_expired: bool

    @property
    def name(self) -> str:
        """Who asks for the account."""
        return self.display_name or self.workspace_name


_IS_EXPIRED = connect_sessions.c.expires_at <= from_now()

_SESSION = (
    connect_sessions.c.id,
    connect_sessions.c.platform,
    connect_sessions.c.external_user_id,
    connect_sessions.c.external_user_email,
    connect_sessions.c.return_url,
    connect_sessions.c.allow_quickstart_creds,
    connect_sessions.c.created_at,
    connect_sessions.c.expires_at,
    connect_sessions.c.completed_at,
    connect_sessions.c.account_id,
    or_(_IS_EXPIRED, connect_sessions.c.attempts >= MAX_ATTEMPTS).label("is_over"),
)

_VISITED = (
    connect_sessions.c.id,
    connect_sessions.c.workspace_id,
    connect_sessions.c.profile_id,
    connect_sessions.c.platform,
    connect_sessions.c.return_url,
    connect_sessions.c.expires_at,
    connect_sessions.c.attempts,
    connect_sessions.c.task_id,
    connect_sessions.c.completed_at,
    accounts.c.account_name,
    workspaces.c.name.label("workspace_name"),
    profiles.c.branding_display_name.label("display_name"),
    profiles.c.branding_logo_url.label("logo_url"),
    profiles.c.branding_primary_color.label("primary_color"),
    _IS_EXPIRED.label("has_expired"),
)


@dataclass(frozen=True, slots=True)
class NewSession:
    """`profile_id` is the one that the command names, or the only one there is."""

    id: str
    workspace_id: str
    profile_id: str
    key_id: str
    token_hash: bytes = field(repr=False)
    command: SessionCommand


def insert_connect_session(connection: Connection, new: NewSession) -> ConnectSessionRow:
    command = new.command
    change = (
        insert(connect_sessions)
        .values(
            id=new.id,
            workspace_id=new.workspace_id,
            profile_id=new.profile_id,
            platform=command.platform,
            key_id=new.key_id,
            token_hash=new.token_hash,
            external_user_id=command.external_user_id,
            external_user_email=command.external_user_email,
            return_url=command.return_url,
            allow_quickstart_creds=command.allow_quickstart_creds,
            created_at=from_now(),
            expires_at=from_now(LIVES_SECONDS),
        )
        .returning(*_SESSION)
    )
    return ConnectSessionRow(**connection.execute(change).one()._mapping)


def connect_session_of(connection: Connection, workspace_id: str, session_id: str) -> ConnectSessionRow | None:
    query = select(*_SESSION).where(
        connect_sessions.c.id == session_id, connect_sessions.c.workspace_id == workspace_id
    )
    row = connection.execute(query).first()
    return None if row is None else ConnectSessionRow(**row._mapping)


def visited_session(connection: Connection, token_hash: bytes) -> VisitedSession | None:
    """None for an unknown link, and for one to a profile that was deleted."""
    query = (
        select(*_VISITED)
        .select_from(connect_sessions)
        .join(profiles, profiles.c.id == connect_sessions.c.profile_id)
        .join(workspaces, workspaces.c.id == connect_sessions.c.workspace_id)
        .outerjoin(accounts, accounts.c.id == connect_sessions.c.account_id)
        .where(connect_sessions.c.token_hash == token_hash, profiles.c.deleted_at.is_(None))
    )
    row = connection.execute(query).first()
    return None if row is None else VisitedSession(**row._mapping)


def count_attempt(connection: Connection, session_id: str, *, made: int, task_id: str) -> bool:
    """Notes one more try than the `made` ones, and the task it will be.

    False, and nothing noted, when the link no longer works, or another try has begun in the meantime.
    """
    change = (
        update(connect_sessions)
        .where(
            connect_sessions.c.id == session_id,
            connect_sessions.c.attempts == made,
            connect_sessions.c.attempts < MAX_ATTEMPTS,
            connect_sessions.c.completed_at.is_(None),
            connect_sessions.c.expires_at > from_now(),
        )
        .values(attempts=made + 1, task_id=task_id)
    )
    return connection.execute(change).rowcount == 1


def follow_task(connection: Connection, session_id: str, *, task_id: str) -> None:
    """Notes that the last try has joined another one's task."""
    connection.execute(update(connect_sessions).where(connect_sessions.c.id == session_id).values(task_id=task_id))
