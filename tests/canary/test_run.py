"""Secrets never leave: the whole service is run through everything, and then searched."""

import pytest
from sqlalchemy import select

from connections.models import connect_tasks
from connections.redaction import REDACTED
from tests.canary import run as channels
from tests.canary.cases import CASES
from tests.canary.command_line import COMMANDS, named
from tests.canary.run import DATABASE_AWAY, KILLED, PATH_AWAY, QUEUED, REDIS_AWAY, WRONG_KEYS, Answered, Run

# One run is the set-up of many tests, and slow where others work beside it.
pytestmark = pytest.mark.timeout(400)

EVENTS: dict[str, Answered] = {
    WRONG_KEYS: (500, "INTERNAL_ERROR"),
    KILLED: ("succeeded", None),
    QUEUED: (202, None),
    REDIS_AWAY: (503, "QUEUE_UNAVAILABLE"),
}

# Postgres alone: SQLite is never away.
OUTAGE: dict[str, Answered] = {
    DATABASE_AWAY: (503, "SERVICE_UNAVAILABLE"),
    PATH_AWAY: (503, "SERVICE_UNAVAILABLE"),
}

# Beside SQLite alone: the commands do not care.
TYPED: dict[str, Answered] = {named(command): (status, None) for command, status in COMMANDS.items()}

EVERYTHING = [*CASES, *EVENTS, *OUTAGE, *TYPED]


def test_every_case_went_where_it_was_meant_to_go(run: Run) -> None:
    expected = {**{name: case.expect for name, case in CASES.items()}, **EVENTS}

    assert run.answered == {**expected, **(TYPED if run.stack.entry == "cli" else OUTAGE)}


@pytest.mark.parametrize("name", [*CASES, *EVENTS])
def test_no_password_is_found_anywhere(run: Run, name: str) -> None:
    assert channels_of(run, name) == set()


@pytest.mark.parametrize("name", TYPED)
def test_no_password_given_at_the_terminal_is_found(sqlite_run: Run, name: str) -> None:
    assert channels_of(sqlite_run, name) == set()


@pytest.mark.parametrize("name", OUTAGE)
def test_no_password_is_found_after_an_outage(postgres_run: Run, name: str) -> None:
    assert channels_of(postgres_run, name) == set()


def test_traces_name_nobody(run: Run) -> None:
    """No more than metrics do: an account is found by its task, in the table."""
    traced = run.evidence.of(channels.TRACES)

    assert run.people
    assert [name for person in run.people for name in (person.handle, person.did) if name.encode() in traced] == []


def channels_of(run: Run, name: str) -> set[str]:
    return {channel for secret, channel in run.finds if secret == name}


def test_no_token_and_no_key_is_found_anywhere(run: Run) -> None:
    assert {find for find in run.finds if find[0] not in EVERYTHING} == set()


@pytest.mark.parametrize(
    ("channel", "there"),
    [
        (channels.OUTPUT, b"account_connected"),
        (channels.OUTPUT, b"connect_crashed"),
        (channels.OUTPUT, b"Traceback (most recent call last)"),
        (channels.OUTPUT, b"Fatal Python error: Aborted"),
        (channels.REDIS, b"connector.connect_account"),
        (channels.REDIS, b"connector.connect_accounts"),
        (channels.REDIS, b"connector:settled:"),
        (channels.DATABASE, b"AuthenticationRequired"),
        (channels.ANSWERS, b"ACCOUNT_ALREADY_CONNECTED"),
        (channels.ANSWERS, b"connector_http_requests_total"),
        (channels.PROCESSES, b"CONNECTOR_REDIS_URL"),
        (channels.INSPECTED, b"connector.connect_account"),
        (channels.FILES, b"worker_ready"),
        (channels.TRACES, b"POST /v1/accounts/connect"),
        (channels.TRACES, b"POST /v1/connect/batches"),
        (channels.TRACES, b"/xrpc/com.atproto.server.createSession"),
        (channels.TRACES, b"connect rows"),
        (channels.TRACES, b"internal_error"),
    ],
)
def test_every_channel_was_listened_to(run: Run, channel: str, there: bytes) -> None:
    """Silence proves nothing where nobody listened."""
    assert there in run.evidence.of(channel)


def test_logs_are_redacted_in_one_run_and_not_in_the_other(run: Run) -> None:
    assert (REDACTED.encode() in run.evidence.of(channels.OUTPUT)) is (run.stack.entry == "cli")


def test_sessions_were_refreshed(run: Run) -> None:
    assert run.refreshed > 2


def test_what_was_sealed_is_erased_when_its_task_ends(run: Run) -> None:
    assert run.sealed_while_queued > 0
    with run.stack.database.read() as connection:
        tasks = connection.execute(
            select(connect_tasks.c.finished_at, connect_tasks.c.sealed_credentials, connect_tasks.c.fingerprint)
        ).all()
    assert any(task.finished_at for task in tasks)
    for task in tasks:
        if task.finished_at is not None:
            assert (task.sealed_credentials, task.fingerprint) == (None, b"")
