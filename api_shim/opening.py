"""One call for a live session: put the request down, send it, wait for the answer, take both away.

Only this process can open the answer, and only while the call lasts: the key for it is in memory and nowhere else.
"""

import asyncio

import structlog

from api_shim.bootstrap import Shim
from connections import tracing
from connections.contract import AccountSession
from connections.errors import Forbidden, QueueUnavailable, SessionTimeout
from connections.messages import Queue
from connections.scopes import Scope
from connections.service import Caller
from connections.session_requests import AskedSession, Refused

log = structlog.get_logger()


async def check_scope(shim: Shim, caller: Caller, account_id: str, request_id: str) -> None:
    """Raises `Forbidden` for a key that is not for this, once that is in the audit log."""
    if Scope.SESSIONS not in caller.scopes:
        await shim.accepting.run(shim.session_requests.note_forbidden, caller, account_id, request_id)
        raise Forbidden


async def open_session(shim: Shim, asked: AskedSession, *, hung_up: "asyncio.Future[None]") -> AccountSession | Refused:
    """Raises `NotFound`, `QueueUnavailable`, `SessionTimeout`, `ServiceUnavailable` and `HungUp`."""
    wait = shim.settings.sync_wait_seconds
    ends_at = asyncio.get_running_loop().time() + wait
    with shim.waiting_for_sessions.register(asked.id, advice="No session was given out; try again.") as waiter:
        await shim.accepting.run(_ask_and_send, shim, asked, wait)
        try:
            await waiter.wait(ends_at - asyncio.get_running_loop().time(), hung_up)
        finally:
            answer = await shim.accepting.run(shim.session_requests.take, asked)
    if answer is None:
        raise SessionTimeout
    return answer


def _ask_and_send(shim: Shim, asked: AskedSession, wait: float) -> None:
    shim.session_requests.ask(asked, reply_to=shim.id, wait=wait, traceparent=tracing.traceparent())
    log.info("session_asked", account_id=asked.account_id, key_id=asked.caller.key_id)
    try:
        with tracing.publishing(Queue.UPKEEP):
            shim.queue.ask_for_session(asked.id)
    except QueueUnavailable as error:
        shim.session_requests.take(asked)
        raise QueueUnavailable("The queue cannot be reached right now. No session was given out; try again.") from error
