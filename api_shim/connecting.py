"""One connect call: store it, send it, wait for it."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from api_shim.bootstrap import Shim
from connections import tracing
from connections.contract import TaskStatus
from connections.errors import ServiceUnavailable
from connections.ids import new_id
from connections.intake import ConnectCommand
from connections.messages import Queue
from connections.repository.tasks import TaskRow
from connections.service import Accepted, Caller

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Connecting:
    """A task, and the request id under which its outcome is told: a repeated request has the first one's."""

    row: TaskRow
    request_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A connect request, and who makes it."""

    caller: Caller
    command: ConnectCommand
    request_id: str
    idempotency_key: str | None


async def accept(shim: Shim, asked: Asked) -> Connecting:
    """The task as it stands once it is stored and sent.

    Raises `ValidationFailed` when the profile is not to be determined, `IdempotencyKeyReused`, `QueueUnavailable` when
    the task is stored but its message not sent, and `ServiceUnavailable`.
    """
    accepted = await shim.accepting.run(_accept_and_send, shim, asked, task_id=new_id("ct"), wait=0)
    row = accepted.row or await _stands(shim, asked.caller, accepted.task_id)
    return Connecting(row, accepted.request_id)


async def connect(
    shim: Shim, asked: Asked, *, wait: float, hung_up: "asyncio.Future[None]", task_id: str | None = None
) -> Connecting:
    """The task, once it has ended or `wait` seconds are over. Raises what `accept` raises, and `HungUp`.

    `task_id` is the id for a new task, where somebody has noted it beforehand.
    """
    shim.queue_age.check()
    ends_at = asyncio.get_running_loop().time() + wait
    caller, task_id = asked.caller, task_id or new_id("ct")
    with shim.waiting.register(task_id) as waiter:
        accepted = await shim.accepting.run(_accept_and_send, shim, asked, task_id=task_id, wait=wait)
        if accepted.is_new:
            row = await waiter.wait(_seconds_until(ends_at), hung_up)
        else:
            row = await _not_worth_waiting_for(shim, caller, accepted.task_id, _seconds_until(ends_at))
    if row is None and not accepted.is_new:  # in the place that has just become free, so there is room
        row = await shim.waiting.follow(accepted.task_id, _seconds_until(ends_at), hung_up)
    return Connecting(row or await _stands(shim, caller, accepted.task_id), accepted.request_id)


async def watch(shim: Shim, caller: Caller, task_id: str, *, wait: float, hung_up: "asyncio.Future[None]") -> TaskRow:
    """The task as it stands once it has ended or `wait` seconds are over.

    Raises `NotFound`, `ServiceUnavailable` and `HungUp`.
    """
    row = await shim.reading.run(shim.service.task, caller, task_id)
    if row.status.is_final or wait == 0:
        return row
    return await shim.waiting.follow(task_id, wait, hung_up) or await _stands(shim, caller, task_id)


async def _not_worth_waiting_for(shim: Shim, caller: Caller, task_id: str, seconds: float) -> TaskRow | None:
    """An earlier request's task if nothing will happen to it before `seconds` are over, otherwise None."""
    row = await shim.reading.run(shim.service.task, caller, task_id)
    is_due = row.available_at <= datetime.now(UTC) + timedelta(seconds=seconds)
    return None if is_due or row.status is not TaskStatus.RETRYING else row


def _seconds_until(moment: float) -> float:
    return moment - asyncio.get_running_loop().time()


def _accept_and_send(shim: Shim, asked: Asked, *, task_id: str, wait: float) -> Accepted:
    traceparent = tracing.traceparent()
    with tracing.span("task accept") as span:
        accepted = shim.service.accept(
            asked.caller,
            asked.command,
            request_id=asked.request_id,
            reply_to=shim.id,
            wait=wait,
            task_id=task_id,
            idempotency_key=asked.idempotency_key,
            traceparent=traceparent,
        )
        span.note({"connector.task.id": accepted.task_id, "connector.joined": not accepted.is_new})
    try:
        if accepted.is_new:  # otherwise an identical request is in flight, and its message with it
            with tracing.publishing(Queue.CONNECT):
                shim.queue.send(accepted.task_id)
    finally:
        log.info("connect_accepted", task_id=accepted.task_id, joined=not accepted.is_new, wait=wait)
    return accepted


async def _stands(shim: Shim, caller: Caller, task_id: str) -> TaskRow:
    """How the task stands now. It may have ended between the last look and this one."""
    try:
        return await shim.reading.run(shim.service.task, caller, task_id)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            "The service cannot reach its database right now. The task is stored and goes on.",
            details={"task_id": task_id},
        ) from error
