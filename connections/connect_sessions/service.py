"""What the API does with links: make one, tell how it stands, and take an end user's tries. Blocking."""

from dataclasses import dataclass, field
from enum import StrEnum

from connections.audit import Action, AuditEntry
from connections.connect_sessions.intake import SessionCommand
from connections.connect_sessions.link import hash_of, new_link
from connections.contract import Issue, TaskStatus
from connections.db import Database
from connections.errors import NotFound
from connections.ids import new_id
from connections.intake import is_id, refused
from connections.profiles import resolve_profile
from connections.repository import audit, profiles, tasks
from connections.repository import connect_sessions as sessions
from connections.repository.connect_sessions import MAX_ATTEMPTS, ConnectSessionRow, NewSession, VisitedSession
from connections.repository.tasks import TaskRow
from connections.return_urls import is_allowed
from connections.service import Caller
from connections.vault import Sealer


@dataclass(frozen=True, slots=True)
class MadeSession:
    """A new session and the end of its link, which is told now or never."""

    row: ConnectSessionRow
    token: str = field(repr=False)


class Step(StrEnum):
    """Where an end user with a link stands."""

    FORM = "form"
    WORKING = "working"
    CONNECTED = "connected"
    USED_UP = "used_up"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Visit:
    """A link that somebody follows, and the task of the last try."""

    session: VisitedSession
    task: TaskRow | None

    @property
    def caller(self) -> Caller:
        """Who asks, for the task and the audit log: the link in place of a key."""
        return Caller(workspace_id=self.session.workspace_id, key_id=self.session.id)

    @property
    def step(self) -> Step:
        """What has succeeded or still goes on counts more than that the link's time is over."""
        status = None if self.task is None else self.task.status
        if self.session.completed_at is not None or status is TaskStatus.SUCCEEDED:
            return Step.CONNECTED
        if status is not None and not status.is_final:
            return Step.WORKING
        if self.session.has_expired:
            return Step.EXPIRED
        return Step.USED_UP if self.session.attempts >= MAX_ATTEMPTS else Step.FORM


class ConnectSessions:
    """One per API process, used by its threads."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def create(self, caller: Caller, command: SessionCommand, *, request_id: str) -> MadeSession:
        """Raises `ValidationFailed` when the profile is not to be determined or the return URL is not allowed."""
        link, session_id = new_link(), new_id("cs")
        with self._database.write() as connection:
            profile_id = resolve_profile(connection, caller.workspace_id, command.profile_id)
            if command.return_url is not None:
                workspace = profiles.workspace_of(connection, caller.workspace_id)
                if not is_allowed(command.return_url, workspace.return_urls):
                    raise refused([NOT_ALLOWED])
            new = NewSession(session_id, caller.workspace_id, profile_id, caller.key_id, link.token_hash, command)
            row = sessions.insert_connect_session(connection, new)
            entry = AuditEntry(
                workspace_id=caller.workspace_id,
                actor=caller.key_id,
                action=Action.CONNECT_SESSION_CREATE,
                target=session_id,
                request_id=request_id,
            )
            audit.record(connection, [entry])
        return MadeSession(row, link.token)

    def get(self, caller: Caller, session_id: str) -> ConnectSessionRow:
        """Raises `NotFound` for a session that does not exist or belongs to another workspace."""
        if is_id(session_id):
            with self._database.read() as connection:
                row = sessions.connect_session_of(connection, caller.workspace_id, session_id)
            if row is not None:
                return row
        raise NotFound("There is no such connect session.")

    def visit(self, token: str) -> Visit | None:
        """None for a link that does not exist."""
        token_hash = hash_of(token)
        if token_hash is None:
            return None
        with self._database.read() as connection:
            session = sessions.visited_session(connection, token_hash)
            if session is None:
                return None
            task = session.task_id and tasks.task_of(connection, session.workspace_id, session.task_id)
        return Visit(session, task or None)

    def proof(self, visit: Visit, nonce: str) -> str:
        """What belongs to the nonce in the form of this link. Nobody else can tell, but every API process."""
        return self._sealer.fingerprints().of("hosted form", visit.session.id, nonce).hex()

    def begin(self, visit: Visit, task_id: str) -> bool:
        """Counts a try, before its task is stored. False when the link no longer works."""
        with self._database.write() as connection:
            return sessions.count_attempt(connection, visit.session.id, made=visit.session.attempts, task_id=task_id)

    def follow(self, visit: Visit, task_id: str) -> None:
        """The try has joined this task instead of becoming one."""
        with self._database.write() as connection:
            sessions.follow_task(connection, visit.session.id, task_id=task_id)


NOT_ALLOWED = Issue(
    field="return_url",
    code="not_allowed",
    message="return_url is not below any of the workspace's return URLs. Add one with PATCH /v1/workspace.",
)
