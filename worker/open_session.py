"""Answers a request for an account's live session: whoever asked waits for it, so there is one try."""

import time

import structlog

from connections.contract import AccountSession
from connections.errors import ConnectorError, InternalError
from connections.repository.session_requests import ClaimedSessionRequest
from connections.session_answers import SessionAnswers
from worker import spans
from worker.announce import Announcer
from worker.sessions import LiveSession, LiveSessions

log = structlog.get_logger()

# Half of what a caller waits: when the worker dies, another one's try is in time.
ANSWER_SECONDS = 10.0
OPEN_LEASE_SECONDS = 11.0

# Lost requests are looked for that often, so one look takes no longer.
LOOK_EVERY_SECONDS = 2.0


class SessionOpener:
    """One per worker process, used by its threads."""

    def __init__(self, answers: SessionAnswers, sessions: LiveSessions, announcer: Announcer) -> None:
        self._answers = answers
        self._sessions = sessions
        self._announcer = announcer

    def open(self, request_id: str) -> None:
        """Answering one that is answered or taken does nothing. Raises `ServiceUnavailable` when the database is away:
        then it is overdue soon."""
        if (request := self._answers.claim(request_id)) is not None:
            self._answer(request)

    def open_overdue(self) -> None:
        """Answers those whose message was lost, or whose worker; what is left is for the next look."""
        ends_at = time.monotonic() + LOOK_EVERY_SECONDS
        while time.monotonic() < ends_at and (request := self._answers.claim_overdue()) is not None:
            log.info("session_request_overdue", session_request_id=request.id)
            self._answer(request)

    def _answer(self, request: ClaimedSessionRequest) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        bound = {"request_id": request.request_id, "account_id": request.account_id, "key_id": request.key_id}
        with spans.session(request), structlog.contextvars.bound_contextvars(**bound):
            try:
                live = self._sessions.live_session(
                    request.workspace_id, request.account_id, least_seconds=request.least_seconds, deadline=deadline
                )
            except ConnectorError as error:
                self._refuse(request, error)
            except Exception:
                # As where tasks are settled: a bug of ours ends the wait with an answer instead of a silence.
                log.exception("session_crashed", platform=request.platform)
                self._refuse(request, InternalError())
            else:
                self._give(request, live)
            self._announcer.settled(request.id, request.reply_to)

    def _give(self, request: ClaimedSessionRequest, live: LiveSession) -> None:
        if self._answers.give(request, _told(request, live)):
            spans.ended("succeeded")
            log.info("session_given", platform=request.platform)

    def _refuse(self, request: ClaimedSessionRequest, error: ConnectorError) -> None:
        if self._answers.refuse(request, error):
            spans.failed(error, error.code.lower(), "failed")
            log.info("session_refused", platform=request.platform, code=error.code)


def _told(request: ClaimedSessionRequest, live: LiveSession) -> AccountSession:
    return AccountSession(
        account_id=request.account_id,
        platform=request.platform,
        did=live.did,
        handle=live.handle,
        service_endpoint=live.host,
        access_token=live.access_token,
        expires_at=live.expires_at,
    )
