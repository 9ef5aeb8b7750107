"""Answers to requests for live sessions (`session_requests`), as workers give them."""

from dataclasses import replace

from connections.audit import Action, AuditEntry, AuditOutcome
from connections.contract import AccountSession
from connections.db import Database
from connections.errors import ConnectorError
from connections.outcome import Outcome
from connections.repository import audit, session_requests
from connections.repository.session_requests import ClaimedSessionRequest
from connections.session_requests import Refused
from connections.vault import AnswerTo, seal_for

# A message takes less than that to be read; then a request is late, and whoever looks for such ones takes it.
_LATE_SECONDS = 1.0


class SessionAnswers:
    """One per worker process, used by its threads."""

    def __init__(self, database: Database, *, lease_seconds: float) -> None:
        """`lease_seconds` must be longer than an answer can take."""
        self._database = database
        self._lease = lease_seconds

    def claim(self, request_id: str) -> ClaimedSessionRequest | None:
        """None when it is answered, taken by another worker, or nobody waits for it any more."""
        with self._database.write_once() as connection:
            return session_requests.claim_session_request(connection, request_id, lease=self._lease)

    def claim_overdue(self) -> ClaimedSessionRequest | None:
        """One whose message was lost, or whose worker; None when there is none."""
        with self._database.write() as connection:
            request_id = session_requests.overdue_session_request(connection, late=_LATE_SECONDS)
            if request_id is None:
                return None
            return session_requests.claim_session_request(connection, request_id, lease=self._lease)

    def give(self, request: ClaimedSessionRequest, session: AccountSession) -> bool:
        """False when the request was answered by another worker, or taken away."""
        content = session.model_dump_json().encode()
        sealed = seal_for(request.public_key, content, AnswerTo(request.id, request.workspace_id))
        with self._database.write() as connection:
            is_left = session_requests.finish_session_request(connection, request.id, sealed_session=sealed)
            if is_left:
                audit.record(connection, [_entry(request)])
        return is_left

    def refuse(self, request: ClaimedSessionRequest, error: ConnectorError) -> bool:
        """False when the request was answered by another worker, or taken away."""
        body = error.describe()
        refused = Refused(error=body, retry_after=error.retry_after).model_dump(mode="json")
        cause = Outcome.of_error(body).cause
        with self._database.write() as connection:
            is_left = session_requests.finish_session_request(connection, request.id, error=refused)
            if is_left:
                entry = replace(_entry(request), outcome=AuditOutcome.FAILED, cause=cause)
                audit.record(connection, [entry])
        return is_left


def _entry(request: ClaimedSessionRequest) -> AuditEntry:
    return AuditEntry(
        request.workspace_id,
        request.key_id,
        Action.ACCOUNT_SESSION,
        account_id=request.account_id,
        request_id=request.request_id,
    )
