"""Live sessions for other services of the operator: asked for here, by the API; answered by a worker, which alone can
open what is stored (`session_answers`). Blocking; call it from a thread.

Whoever asks leaves one entry in the audit log, however that ends: with the answer when there is one, and otherwise with
the request that is taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from connections.audit import Action, AuditEntry, AuditOutcome
from connections.contract import AccountSession, ErrorBody, Maybe, WireModel
from connections.db import Database
from connections.errors import Forbidden, NotFound
from connections.intake import is_id, no_such_account
from connections.repository import audit, session_requests
from connections.repository.session_requests import AnsweredRequest, NewSessionRequest
from connections.service import Caller
from connections.vault import AnswerTo, EphemeralKey

# What the audit log calls the end of a request that no worker has answered in time, or whose caller hung up.
UNANSWERED = "unanswered"


class Refused(WireModel):
    """Why there is no session, and in how many seconds asking again makes sense, if that is known."""

    error: ErrorBody
    retry_after: Maybe[float] = None


@dataclass(frozen=True, slots=True)
class AskedSession:
    """Who asks for the session of which account. `key` opens the answer and is nowhere else."""

    id: str
    caller: Caller
    account_id: str
    request_id: str
    least_seconds: int
    """For how long the session must live on."""
    key: EphemeralKey = field(repr=False)

    @property
    def binding(self) -> AnswerTo:
        return AnswerTo(self.id, self.caller.workspace_id)


class SessionRequests:
    """One per API process, used by its threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_forbidden(self, caller: Caller, account_id: str, request_id: str) -> None:
        """Notes that somebody asked whose key is not for this."""
        with self._database.write() as connection:
            known = _known_account(connection, caller, account_id)
            audit.record(connection, [_failed(caller, known, request_id, Forbidden.code.lower())])

    def ask(self, asked: AskedSession, *, reply_to: str, wait: float, traceparent: str | None = None) -> None:
        """Puts the request down and returns once that is committed; its message is still to be sent.

        `wait` is for how many seconds the API process `reply_to` waits for the answer, `traceparent` the span that the
        work on it belongs to (W3C Trace Context). Raises `NotFound` for an account that does not exist or belongs to
        another workspace.
        """
        caller = asked.caller
        with self._database.write() as connection:
            is_there = _known_account(connection, caller, asked.account_id) is not None
            if is_there:
                request = NewSessionRequest(
                    id=asked.id,
                    workspace_id=caller.workspace_id,
                    account_id=asked.account_id,
                    key_id=caller.key_id,
                    request_id=asked.request_id,
                    public_key=asked.key.public,
                    least_seconds=asked.least_seconds,
                    reply_to=reply_to,
                    traceparent=traceparent,
                )
                session_requests.insert_session_request(connection, request, expires_in=wait)
            else:
                audit.record(connection, [_failed(caller, None, asked.request_id, NotFound.code.lower())])
        if not is_there:
            raise no_such_account()

    def answered(self, request_ids: Sequence[str]) -> list[AnsweredRequest]:
        """Those of the given requests that have an answer."""
        with self._database.read() as connection:
            return session_requests.answered_session_requests(connection, request_ids)

    def take(self, asked: AskedSession) -> AccountSession | Refused | None:
        """Takes the request away, and gives the answer; None when there is none."""
        with self._database.write() as connection:
            taken = session_requests.take_session_request(connection, asked.id)
            if taken is not None and taken.finished_at is None:
                entry = _failed(asked.caller, asked.account_id, asked.request_id, UNANSWERED)
                audit.record(connection, [entry])
        match taken:
            case None:
                return None
            case _ if taken.sealed_session is not None:
                return AccountSession.model_validate_json(asked.key.open(taken.sealed_session, asked.binding))
            case _:
                return None if taken.error is None else Refused.model_validate(taken.error)


def _known_account(connection: Connection, caller: Caller, account_id: str) -> str | None:
    """The id, if it is that of an account of the caller's workspace: what a stranger wrote is not logged."""
    is_known = is_id(account_id) and session_requests.owns_account(connection, caller.workspace_id, account_id)
    return account_id if is_known else None


def _failed(caller: Caller, account_id: str | None, request_id: str, cause: str) -> AuditEntry:
    return AuditEntry(
        caller.workspace_id,
        caller.key_id,
        Action.ACCOUNT_SESSION,
        AuditOutcome.FAILED,
        account_id=account_id,
        cause=cause,
        request_id=request_id,
    )
