"""Hosts, names and documents that mean harm, through the whole service: one table, the same questions to every row."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
import structlog

from connections.settings import Environment, Settings
from connections.vault import generate_keys, open_key_store
from tests.factories import FakePlatform
from tests.hostile import rows_what, rows_where, rows_who
from tests.hostile.case import Case, Group
from tests.hostile.honest import ACCESS_SIGNATURE, PASSWORD, REFRESH_TOKEN
from tests.hostile.run import Run, outcome
from tests.hostile.stack import ATTEMPTS, Stack, running_stack

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


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: bytes) -> Settings:
    """Production: no origin is exempt from the guard but the operator's two."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "connector.db").write_bytes(migrated_sqlite)
    settings = Settings(
        env=Environment.PRODUCTION,
        keys_file=folder / "keys.json",
        database_url=f"sqlite:///{folder / 'connector.db'}",
        redis_url="redis://127.0.0.1:1/0",
        interactive_task_seconds=TASK_SECONDS,
        worker_threads=4,
    )
    generate_keys(open_key_store(settings), settings.env)
    return settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(settings: Settings) -> AsyncIterator[Stack]:
    """One for all rows: each brings its own internet, its own adapter and a workspace of its own."""
    async with running_stack(settings, FakePlatform([])) as stack:
        yield stack


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", ROWS, ids=lambda case: f"{case.group}: {case.name}")
async def test_hostile(case: Case, stack: Stack, settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(case, settings)
    stack.turn_to(run.platform, attempt_seconds=case.attempt_seconds)
    try:
        answer = await run.connect(stack)
        stack.queue.join()
    finally:
        run.close()

    assert outcome(answer) == case.expected, answer.text
    assert run.seconds < ATTEMPTS * case.attempt_seconds + SLACK_SECONDS
    assert run.peak < MOST_BYTES
    assert_dials(run)
    assert_password_stays(run)
    assert_session_is_kept_or_ended(run, is_connected=answer.status_code == 201)
    assert_nothing_leaks(answer, capfd)


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


def assert_nothing_leaks(answer: httpx.Response, capfd: pytest.CaptureFixture[str]) -> None:
    logged = "".join(capfd.readouterr())
    for canary in CANARIES:
        assert canary not in answer.text
        assert canary not in logged


def test_the_table_is_whole() -> None:
    counts = Counter(case.group for case in ROWS)
    assert set(counts) == set(Group)
    assert len(ROWS) >= 60
    assert len({(case.group, case.name) for case in ROWS}) == len(ROWS)
