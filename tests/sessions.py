"""Accounts with sessions, and a worker that gives them out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Row, select

from connections.db import Database
from connections.messages import reply_channel
from connections.models import audit_log
from connections.session_answers import SessionAnswers
from worker.announce import Announcer
from worker.open_session import SessionOpener
from worker.sessions import LiveSession

TOKEN = "access-canary"
ENDS = datetime(2026, 11, 23, 12, tzinfo=UTC)


LIVE = LiveSession(TOKEN, "did:plc:alice", "alice.test", "https://pds.test", ENDS)


@dataclass
class FakeSessions:
    """Gives the same session to everybody, or fails with `fault`. `asked` has account ids and seconds."""

    live: LiveSession = LIVE
    fault: Exception | None = None
    asked: list[tuple[str, float]] = field(default_factory=list)

    def live_session(self, workspace_id: str, account_id: str, *, least_seconds: float, deadline: float) -> LiveSession:
        self.asked.append((account_id, least_seconds))
        if self.fault is not None:
            raise self.fault
        return self.live


class Told(Announcer):
    """Announces by a function in place of Redis."""

    def __init__(self, publish: Callable[[str, str], None]) -> None:
        self._publish = publish

    def settled(self, task_id: str, reply_to: str | None) -> None:
        assert reply_to is not None
        self._publish(reply_channel(reply_to), task_id)


def opener(
    database: Database,
    sessions: FakeSessions,
    publish: Callable[[str, str], None] = lambda channel, text: None,
    *,
    lease_seconds: float = 60.0,
) -> SessionOpener:
    return SessionOpener(SessionAnswers(database, lease_seconds=lease_seconds), sessions, Told(publish))


def audited(database: Database) -> list[Row[tuple[str, str, str | None, str, str | None, str | None]]]:
    """Actor, action, account, outcome, cause and request of each entry."""
    entry = audit_log.c
    query = select(entry.actor, entry.action, entry.account_id, entry.outcome, entry.cause, entry.request_id)
    with database.read() as connection:
        return list(connection.execute(query.order_by(entry.id)))
