"""One task in words: what is known of it, and what happens next."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo

from cli.ages import lasting, relative
from cli.importing.progress import wait_text
from connections.contract import BatchWait, ErrorBody, TaskStatus, rfc3339
from connections.outcome import Outcome
from connections.repository.observing import TaskStory

_WIDTH = 12

# The sweep looks every two seconds. A row that is due for longer is one that nobody looks at.
_OVERDUE_SECONDS = 15.0


def story_lines(story: TaskStory, zone: tzinfo | None) -> list[str]:
    """Dates are told in `zone`, and from the database's now."""
    outcome = Outcome.from_row(story.outcome)

    def when(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S} ({relative(moment, story.now)})"

    def rows() -> Iterator[tuple[str, str | None]]:
        yield "accepted", when(story.created_at)
        yield "request", story.request_id
        yield "workspace", f"{story.workspace_id}  {story.workspace_name}"
        yield "profile", f"{story.profile_id}  {story.profile_name}"
        yield "platform", story.platform
        yield "queue", story.queue + (f", for {story.lane}" if story.lane else "")
        if story.batch_id:
            of = "" if story.batch_total is None else f" of {story.batch_total:,}"
            yield "batch", f"{story.batch_id}, row {story.batch_row}{of}"
            yield "external ref", story.external_ref
        yield "attempts", f"{story.attempts} of {story.max_attempts}"
        if not story.status.is_final:
            yield "caller", _caller(story, when)
            if story.status is TaskStatus.RUNNING:
                yield "lease until", when(story.available_at)
            if story.status is TaskStatus.RETRYING:
                yield "next attempt", when(story.dispatch_at or story.available_at)
            yield "sent again", f"{story.sweeps} times" if story.sweeps else None
            yield "expires", when(story.expires_at)
        if story.finished_at is not None:
            took = lasting((story.finished_at - story.created_at).total_seconds())
            yield "ended", f"{when(story.finished_at)}, {took} after it was accepted"
        if outcome.account is not None:
            account = outcome.account
            yield "account", "  ".join(filter(None, (account.id, account.account_name, account.external_account_id)))
        if outcome.error is not None:
            yield from _error(outcome.error, is_final=story.status.is_final)

    return [
        f"{story.id}: {story.status}",
        *(f"  {name:{_WIDTH}}  {_visible(value)}" for name, value in rows() if value),
        "",
        what_next(story),
    ]


def _visible(text: str) -> str:
    """What a caller may have named is shown and not obeyed: a terminal takes some characters for commands."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _caller(story: TaskStory, when: Callable[[datetime], str]) -> str:
    if story.caller_waits_until is None:
        return "nobody waits; whoever wants the outcome polls"
    if story.caller_waits_until <= story.now:
        return f"nobody waits any more, since {when(story.caller_waits_until)}"
    return f"waits at {story.reply_to} until {when(story.caller_waits_until)}"


def _error(error: ErrorBody, *, is_final: bool) -> Iterator[tuple[str, str | None]]:
    yield "error" if is_final else "last error", f"{error.code}: {error.message}"
    for issue in error.issues or ():
        yield "issue", f"{issue.code} of {issue.field}"
    if error.provider_error is not None:
        provider = error.provider_error
        status = None if provider.http_status is None else str(provider.http_status)
        yield "provider", " ".join(filter(None, (provider.provider, status, provider.code)))
    if error.retry_policy is not None and error.retry_policy.reason:
        yield "reason", error.retry_policy.reason


def what_next(story: TaskStory) -> str:
    """One sentence."""
    if story.status.is_final:
        return _ENDS[story.status]
    if story.expires_at <= story.now and story.available_at <= story.now:
        return f"Its time is over: the sweep ends it{_soon(story)}."
    if story.status is TaskStatus.RUNNING:
        return _next_of_attempt(story)
    return _next_of_task(story) if story.batch_id is None else _next_of_row(story)


def _next_of_attempt(story: TaskStory) -> str:
    left = (story.available_at - story.now).total_seconds()
    if left <= 0:
        return f"Its worker has let the lease run out: the sweep {_resend(story)}."
    lease = f"Its worker has the lease for another {lasting(left)}"
    return f"{lease}; should it not settle it, the sweep {_resend(story)}."


def _next_of_task(story: TaskStory) -> str:
    if story.available_at > story.now:
        return f"It is due {relative(story.available_at, story.now)}; then the sweep {_resend(story)}."
    return f"A worker takes it as soon as one is free; else the sweep {_resend(story)}."


def _next_of_row(story: TaskStory) -> str:
    """A row of a batch that nobody works on: it waits for the dispatcher, or its message is on its way."""
    if story.batch_canceled_at is not None:
        return "Its batch is canceled: the dispatcher ends it within a moment."
    if story.dispatch_at is None:
        return f"Its message is on its way to a worker; should none begin, the sweep {_resend(story)}."
    if story.dispatch_at > story.now:
        return f"The dispatcher sends it {relative(story.dispatch_at, story.now)} at the earliest."
    held_back = wait_text(_batch_wait(story), story.now)
    where = f"{story.lane}'s budget" if story.lane else "its turn; nobody knows yet which host it leads to"
    return f"It waits for {where}" + (f"; its batch is {held_back}." if held_back else ".")


def _batch_wait(story: TaskStory) -> BatchWait | None:
    return None if story.batch_waits_for is None else BatchWait.model_validate(story.batch_waits_for)


def _resend(story: TaskStory) -> str:
    how = "gives it back to the dispatcher" if story.batch_id else "sends it again"
    return f"{how}{_soon(story)}"


def _soon(story: TaskStory) -> str:
    """When the sweep comes, or what keeps it."""
    late = (story.now - story.sweep_at).total_seconds()
    if late > _OVERDUE_SECONDS:
        return f", which is {lasting(late)} overdue (`connector doctor` says whether beat and workers live)"
    return " within two seconds" if late > 0 else f" in {lasting(-late)}"


_ENDS = {
    TaskStatus.SUCCEEDED: "It is connected; nothing happens any more.",
    TaskStatus.FAILED: "It has failed for good; a new request would be a new task.",
    TaskStatus.EXPIRED: "Its time ran out before it could be finished; a new request would be a new task.",
}


def as_json(story: TaskStory) -> str:
    """One object; dates are UTC."""
    outcome = Outcome.from_row(story.outcome)
    in_batch = {"id": story.batch_id, "row": story.batch_row, "total": story.batch_total}
    waits = story.caller_waits_until is not None and not story.status.is_final
    return json.dumps(
        {
            "id": story.id,
            "status": story.status,
            "created_at": rfc3339(story.created_at),
            "request_id": story.request_id,
            "workspace": {"id": story.workspace_id, "name": story.workspace_name},
            "profile": {"id": story.profile_id, "name": story.profile_name},
            "platform": story.platform,
            "queue": story.queue,
            "host": story.lane or None,
            "batch": in_batch if story.batch_id else None,
            "external_ref": story.external_ref,
            "attempts": story.attempts,
            "max_attempts": story.max_attempts,
            "caller": {"at": story.reply_to, "waits_until": _date(story.caller_waits_until)} if waits else None,
            "available_at": _date(None if story.status.is_final else story.available_at),
            "dispatch_at": _date(story.dispatch_at),
            "sweep_at": _date(None if story.status.is_final else story.sweep_at),
            "sweeps": story.sweeps,
            "expires_at": rfc3339(story.expires_at),
            "finished_at": _date(story.finished_at),
            "account": outcome.account and outcome.account.model_dump(mode="json"),
            "error": outcome.error and outcome.error.model_dump(mode="json"),
            "next": what_next(story),
        }
    )


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
