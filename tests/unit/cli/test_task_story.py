"""The story of one task, and what happens next."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.task_story import as_json, story_lines, what_next
from connections.contract import Account, AccountStatus, ConnectionType, ProviderError, TaskStatus
from connections.errors import HandleNotFound, UpstreamFailed
from connections.outcome import Outcome
from connections.repository.observing import TaskStory

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
QUEUED, RUNNING, RETRYING = TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.RETRYING
IN_BATCH = {"batch_id": "cb_1", "batch_row": 7, "batch_total": 1000, "queue": "connect.bulk"}


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def story(status: TaskStatus, **more: Any) -> TaskStory:
    known: dict[str, Any] = {
        "id": "ct_1",
        "status": status,
        "request_id": "req_1",
        "workspace_id": "ws_1",
        "workspace_name": "Acme",
        "profile_id": "pr_1",
        "profile_name": "Brand",
        "platform": "bluesky",
        "queue": "connect",
        "lane": "",
        "attempts": 1,
        "max_attempts": 12,
        "sweeps": 0,
        "reply_to": None,
        "created_at": later(-100),
        "available_at": later(-90),
        "sweep_at": later(8),
        "expires_at": later(3500),
        "caller_waits_until": None,
        "dispatch_at": None,
        "finished_at": None,
        "outcome": None,
        "cause": None,
        "batch_id": None,
        "batch_row": None,
        "external_ref": None,
        "batch_total": None,
        "batch_canceled_at": None,
        "batch_waits_for": None,
        "now": NOW,
    }
    return TaskStory(**{**known, **more})


LIMITED = {"reason": "rate_limit", "host": "bsky.social"}


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (story(QUEUED), "A worker takes it as soon as one is free; else the sweep sends it again in 8.0 s."),
        (
            story(QUEUED, sweep_at=later(-1)),
            "A worker takes it as soon as one is free; else the sweep sends it again within two seconds.",
        ),
        (
            story(QUEUED, sweep_at=later(-60)),
            "A worker takes it as soon as one is free; else the sweep sends it again, which is 60 s overdue "
            "(`connector doctor` says whether beat and workers live).",
        ),
        (
            story(RUNNING, available_at=later(20), sweep_at=later(21)),
            "Its worker has the lease for another 20 s; should it not settle it, the sweep sends it again in 21 s.",
        ),
        (
            story(RUNNING, available_at=later(-2), sweep_at=later(-1)),
            "Its worker has let the lease run out: the sweep sends it again within two seconds.",
        ),
        (
            story(RETRYING, available_at=later(7), sweep_at=later(8)),
            "It is due in 7.0 s; then the sweep sends it again in 8.0 s.",
        ),
        (
            story(RETRYING, expires_at=later(-1), sweep_at=later(-1)),
            "Its time is over: the sweep ends it within two seconds.",
        ),
        (
            story(QUEUED, **IN_BATCH, dispatch_at=later(-3), sweep_at=later(3500)),
            "It waits for its turn; nobody knows yet which host it leads to.",
        ),
        (
            story(QUEUED, **IN_BATCH, dispatch_at=later(-3), lane="bsky.social"),
            "It waits for bsky.social's budget.",
        ),
        (
            story(QUEUED, **IN_BATCH, dispatch_at=later(-3), lane="bsky.social", batch_waits_for=LIMITED),
            "It waits for bsky.social's budget; its batch is waiting for the rate limit of bsky.social.",
        ),
        (
            story(RETRYING, **IN_BATCH, dispatch_at=later(40), available_at=later(40)),
            "The dispatcher sends it in 40 s at the earliest.",
        ),
        (
            story(QUEUED, **IN_BATCH, sweep_at=later(29)),
            "Its message is on its way to a worker; should none begin, the sweep gives it back to the dispatcher "
            "in 29 s.",
        ),
        (
            story(RUNNING, **IN_BATCH, available_at=later(20), sweep_at=later(21)),
            "Its worker has the lease for another 20 s; should it not settle it, the sweep gives it back to the "
            "dispatcher in 21 s.",
        ),
        (
            story(QUEUED, **IN_BATCH, dispatch_at=later(-3), batch_canceled_at=later(-1)),
            "Its batch is canceled: the dispatcher ends it within a moment.",
        ),
        (story(TaskStatus.SUCCEEDED, finished_at=NOW), "It is connected; nothing happens any more."),
        (
            story(TaskStatus.FAILED, finished_at=NOW),
            "It has failed for good; a new request would be a new task.",
        ),
        (
            story(TaskStatus.EXPIRED, finished_at=NOW),
            "Its time ran out before it could be finished; a new request would be a new task.",
        ),
    ],
)
def test_what_happens_next(task: TaskStory, sentence: str) -> None:
    assert what_next(task) == sentence


def test_a_task_that_is_tried_again() -> None:
    provider = ProviderError(provider="bluesky", http_status=502, code="UpstreamFailure")
    outcome = Outcome.of_error(UpstreamFailed(provider=provider).describe()).to_row()
    task = story(
        RETRYING,
        attempts=3,
        sweeps=2,
        outcome=outcome,
        available_at=later(7),
        reply_to="shim_1",
        caller_waits_until=later(15),
    )

    assert story_lines(task, UTC) == [
        "ct_1: retrying",
        "  accepted      2026-11-24 09:58:20 (2 min ago)",
        "  request       req_1",
        "  workspace     ws_1  Acme",
        "  profile       pr_1  Brand",
        "  platform      bluesky",
        "  queue         connect",
        "  attempts      3 of 12",
        "  caller        waits at shim_1 until 2026-11-24 10:00:15 (in 15 s)",
        "  next attempt  2026-11-24 10:00:07 (in 7.0 s)",
        "  sent again    2 times",
        "  expires       2026-11-24 10:58:20 (in 58 min)",
        "  last error    UPSTREAM_ERROR: The account's server could not be reached or did not answer properly.",
        "  provider      bluesky 502 UpstreamFailure",
        "",
        "It is due in 7.0 s; then the sweep sends it again in 8.0 s.",
    ]


def test_a_row_of_a_batch_that_has_failed() -> None:
    outcome = Outcome.of_error(HandleNotFound().describe()).to_row()
    task = story(TaskStatus.FAILED, **IN_BATCH, external_ref="customer-1", outcome=outcome, finished_at=later(-40))
    told = story_lines(task, UTC)

    assert "  batch         cb_1, row 7 of 1,000" in told
    assert "  external ref  customer-1" in told
    assert "  ended         2026-11-24 09:59:20 (40 s ago), 60 s after it was accepted" in told
    assert "  error         VALIDATION_ERROR: No account has this handle." in told
    assert "  issue         handle_not_found of credentials.handle" in told
    assert not [line for line in told if line.split()[:1] in (["caller"], ["expires"], ["lease"])]


def test_no_terminal_obeys_what_a_caller_has_named() -> None:
    told = story_lines(story(QUEUED, **IN_BATCH, external_ref="Zoë\x1b[2J\n  error  none"), UTC)
    assert "  external ref  Zoë\\x1b[2J\\n  error  none" in told


ACCOUNT = Account(
    id="sa_1",
    profile_id="pr_1",
    platform="bluesky",
    account_name="alice.test",
    status=AccountStatus.ACTIVE,
    connection_type=ConnectionType.BYO,
    connected_at=NOW,
    external_account_id="did:plc:alice",
)


def test_a_task_that_has_an_account() -> None:
    told = story_lines(story(TaskStatus.SUCCEEDED, outcome=Outcome(account=ACCOUNT).to_row(), finished_at=NOW), UTC)
    assert "  account       sa_1  alice.test  did:plc:alice" in told


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        ({}, "nobody waits; whoever wants the outcome polls"),
        (
            {"reply_to": "shim_1", "caller_waits_until": later(-5)},
            "nobody waits any more, since 2026-11-24 09:59:55 (5.0 s ago)",
        ),
    ],
)
def test_who_waits(caller: dict[str, Any], said: str) -> None:
    assert f"  caller        {said}" in story_lines(story(QUEUED, **caller), UTC)


def test_until_when_a_worker_has_it() -> None:
    told = story_lines(story(RUNNING, available_at=later(20)), UTC)
    assert "  lease until   2026-11-24 10:00:20 (in 20 s)" in told


def test_json_of_a_task_in_flight() -> None:
    outcome = Outcome.of_error(UpstreamFailed().describe()).to_row()
    task = story(RETRYING, **IN_BATCH, lane="pds.example", outcome=outcome, dispatch_at=later(7))
    told = json.loads(as_json(task))

    assert told["batch"] == {"id": "cb_1", "row": 7, "total": 1000}
    assert told["host"] == "pds.example"
    assert told["dispatch_at"] == "2026-11-24T10:00:07.000Z"
    assert told["finished_at"] is told["account"] is told["caller"] is None
    assert told["error"]["code"] == "UPSTREAM_ERROR"
    assert told["next"] == "The dispatcher sends it in 7.0 s at the earliest."


def test_json_of_a_task_that_has_ended() -> None:
    task = story(TaskStatus.SUCCEEDED, outcome=Outcome(account=ACCOUNT).to_row(), finished_at=NOW)
    told = json.loads(as_json(task))

    assert told["account"]["id"] == "sa_1"
    assert told["batch"] is told["error"] is told["available_at"] is told["sweep_at"] is None
    assert told["finished_at"] == "2026-11-24T10:00:00.000Z"
