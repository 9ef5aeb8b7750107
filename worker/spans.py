"""What traces tell of a worker: attempts, the messages that bring rows of batches, refreshes, and how each ends.

A single task's attempts are below the request that asked for it, whoever makes them and however often. Ten thousand
rows below one request would be a trace that nobody can read: rows are below the message they came with, and linked to
the request.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import httpx

from connections import tracing
from connections.errors import ConnectorError
from connections.messages import Queue
from connections.repository.attempts import ClaimedTask
from connections.repository.session_requests import ClaimedSessionRequest
from connections.settlement import Swept
from connections.tracing import Kind, Span, Value

_BROUGHT = {"messaging.system": "redis", "messaging.operation.type": "process"}


def message(tasks: Sequence[ClaimedTask]) -> AbstractContextManager[Span]:
    """Around all rows of one message."""
    return tracing.span(
        "connect rows",
        Kind.CONSUMER,
        {**_BROUGHT, "messaging.destination.name": Queue.BULK, "connector.rows": len(tasks)},
        links=_requests(tasks),
    )


def attempt(task: ClaimedTask) -> AbstractContextManager[Span]:
    """Around one attempt, from claim to settled; of a row, until its account is verified."""
    return _of(task, "connect attempt")


def session(request: ClaimedSessionRequest) -> AbstractContextManager[Span]:
    """Around the answer to a request for a live session, from claim to told."""
    attributes: dict[str, Value] = {
        **_BROUGHT,
        "messaging.destination.name": Queue.UPKEEP,
        "connector.request.id": request.request_id,
        "connector.platform": request.platform,
    }
    return tracing.span("open session", Kind.CONSUMER, attributes, parent=request.traceparent)


def kept_alone(task: ClaimedTask) -> AbstractContextManager[Span]:
    """Around the storing of a row's account that could not be stored together with the others of its message."""
    return _of(task, "keep alone")


def refresh(account_id: str, platform: str) -> AbstractContextManager[Span]:
    """Around the refresh of one account's session, from claimed to settled."""
    return tracing.span(
        "refresh session", attributes={"connector.account.id": account_id, "connector.platform": platform}
    )


def _of(task: ClaimedTask, name: str) -> AbstractContextManager[Span]:
    attributes: dict[str, Value] = {
        "connector.task.id": task.id,
        "connector.request.id": task.request_id,
        "connector.platform": task.platform,
        "connector.attempt": task.attempts,
    }
    if task.batch_id is None:
        attributes |= {**_BROUGHT, "messaging.destination.name": task.queue}
        return tracing.span(name, Kind.CONSUMER, attributes, parent=task.traceparent)
    attributes["connector.batch.id"] = task.batch_id
    return tracing.span(name, Kind.INTERNAL, attributes, links=_requests([task]))


def turn(seconds: float, *, in_batch: bool) -> AbstractContextManager[Span]:
    """Around the wait for the turn of the request that follows, in the line of batches or in that of callers."""
    line = "batches" if in_batch else "callers"
    return tracing.span("wait for turn", attributes={"connector.turn.seconds": seconds, "connector.turn.line": line})


def call(method: str, url: httpx.URL, template: str | None) -> AbstractContextManager[Span]:
    """Around one HTTP request, told by a `template` of its URL in which there is no name of an account.

    With a path, `/xrpc/…`, the host is told besides. It is not with `{handle}/…`, nor without a template: who asks an
    account's own host knows that its name is one.
    """
    attributes: dict[str, Value] = {"http.request.method": method, "url.scheme": url.scheme}
    if template is None:
        return tracing.span(method, Kind.CLIENT, attributes)
    attributes["url.template"] = template
    if template.startswith("/"):
        attributes["server.address"] = url.host
        if url.port is not None:
            attributes["server.port"] = url.port
    return tracing.span(f"{method} {template}", Kind.CLIENT, attributes)


def dns_question(record: str) -> AbstractContextManager[Span]:
    """Around a question to the nameservers. The name is not told: it is a handle."""
    return tracing.span(f"DNS {record}", Kind.CLIENT, {"dns.question.type": record})


def swept(task: Swept) -> AbstractContextManager[Span]:
    """Around what is done for a task that was lost or is due: it explains the gap before the next attempt."""
    attributes: dict[str, Value] = {"connector.task.id": task.task_id, "connector.expired": task.has_expired}
    return tracing.span("sweep", attributes=attributes, parent=task.traceparent)


def ended(outcome: str) -> None:
    """Tells what has become of the attempt that is under way here."""
    tracing.current().note({"connector.outcome": outcome})


def failed(error: ConnectorError, cause: str, outcome: str) -> None:
    """As `ended`, and why, in one word."""
    span = tracing.current()
    span.note({"connector.outcome": outcome, "connector.cause": cause})
    if tracing.is_fault(error):
        span.fail(cause)


def _requests(tasks: Sequence[ClaimedTask]) -> list[str]:
    return [task.traceparent for task in tasks if task.traceparent is not None]
