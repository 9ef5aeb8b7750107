"""Hosts, names and documents that mean harm, through the whole service: one table, the same questions to every row."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from connections.settings import Environment, Settings
from connections.vault import generate_keys, open_key_store
from tests.hostile import rows_what, rows_where, rows_who
from tests.hostile.case import Case, Group
from tests.hostile.honest import ACCESS_SIGNATURE, PASSWORD, REFRESH_TOKEN
from tests.hostile.run import Run, outcome
from tests.hostile.stack import ATTEMPTS, running_stack

ROWS = (*rows_who.ROWS, *rows_where.ROWS, *rows_what.ROWS)

# Far more than the attempts may take, so that a busy machine does not expire a task.
TASK_SECONDS = 10.0

# What a machine that is busy with something else may take on top of the attempts' deadlines.
SLACK_SECONDS = 2.0

# One answer of 256 KiB and its framing, read once and parsed once, with the service around it.
MOST_BYTES = 8 * 1024 * 1024

CREATE_SESSION = "/xrpc/com.atproto.server.createSession"
DELETE_SESSION = "/xrpc/com.atproto.server.deleteSession"
CANARIES = (PASSWORD, ACCESS_SIGNATURE, REFRESH_TOKEN)


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    """All of every line on stdout, without the local variables that the default shows of an exception."""
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ]
    )
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def _dns_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site is visited when the DNS has no answer, not when the machine is slow."""
    monkeypatch.setattr("worker.platforms.bluesky.handles.HEAD_START_SECONDS", TASK_SECONDS)


@pytest.fixture(scope="session")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    generate_keys(open_key_store(Settings(keys_file=path)), Environment.PRODUCTION)
    return path


@pytest.fixture
def settings(case: Case, keys_file: Path, sqlite_url: str) -> Settings:
    """Production: no origin is exempt from the guard but the operator's two."""
    return Settings(
        env=Environment.PRODUCTION,
        keys_file=keys_file,
        database_url=sqlite_url,
        redis_url="redis://127.0.0.1:1/0",
        attempt_seconds=case.attempt_seconds,
        interactive_task_seconds=TASK_SECONDS,
        worker_threads=4,
    )


@pytest.mark.parametrize("case", ROWS, ids=lambda case: f"{case.group}: {case.name}")
async def test_hostile(case: Case, settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(case, settings)
    try:
        async with running_stack(settings, run.platform) as stack:
            answer = await run.connect(stack)
    finally:
        run.close()

    assert outcome(answer) == case.expected, answer.text
    assert run.seconds < ATTEMPTS * case.attempt_seconds + SLACK_SECONDS
    assert run.peak < MOST_BYTES
    assert_dials(run)
    assert_password_stays(run)
    assert_session_is_kept_or_ended(run, is_connected=answer.status_code == 201)
    assert_nothing_leaks(case, answer, capfd)


def assert_dials(run: Run) -> None:
    """The connector notes a dial before it opens a socket, so what is not noted was not opened."""
    assert set(run.internet.dialled) <= run.case.dials


def assert_password_stays(run: Run) -> None:
    """Only the PDS gets it, over TLS in its own name, and not more often than need be."""
    holders = [sent for sent in run.internet.sent if PASSWORD.encode() in sent.data]
    assert {sent.server_name for sent in holders} <= {run.case.pds}
    assert len(run.asked(CREATE_SESSION)) <= run.case.logins


def assert_session_is_kept_or_ended(run: Run, *, is_connected: bool) -> None:
    ended = run.asked(DELETE_SESSION)
    if is_connected:
        assert ended == []
    elif run.internet.opened and run.case.can_end:
        assert f"Bearer {REFRESH_TOKEN}" in ended


def assert_nothing_leaks(case: Case, answer: httpx.Response, capfd: pytest.CaptureFixture[str]) -> None:
    logged = "".join(capfd.readouterr())
    for canary in CANARIES:
        assert canary not in answer.text
        assert canary not in logged


def test_the_table_is_whole() -> None:
    counts = Counter(case.group for case in ROWS)
    assert set(counts) == set(Group)
    assert len(ROWS) >= 60
    assert len({(case.group, case.name) for case in ROWS}) == len(ROWS)
