"""The search can fail: each deliberate leak is found, in the channel it went through."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connections.migrate import upgrade
from sandbox.process import SandboxProcess
from tests.canary.conftest import secret_valkey
from tests.canary.evidence import monitored
from tests.canary.leaks import LEAKS
from tests.canary.run import ANSWERS, DATABASE, FILES, OUTPUT, REDIS, TOKEN, TRACES, Run
from tests.canary.stack import Stack

# One run is the set-up of many tests, and slow where others work beside it.
pytestmark = pytest.mark.timeout(400)

# All of them through the shortest way: files have what the streams and SQLite have.
LEAKED = {
    "logs": {OUTPUT, FILES},
    "raises": {OUTPUT, FILES},
    "prints": {OUTPUT, FILES},
    "stores-in-redis": {REDIS},
    "publishes": {REDIS},
    "tells": {DATABASE, ANSWERS, FILES},
    "writes": {FILES},
    "traces": {TRACES},
}


@pytest.fixture(scope="module")
def leaky_run(tmp_path_factory: pytest.TempPathFactory, bluesky: SandboxProcess) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("leaky")
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    with (
        secret_valkey(directory) as valkey,
        contextlib.closing(Stack(directory, url, valkey, bluesky, "tests.canary.leaks")) as stack,
    ):
        run = Run(stack, shaped=False)
        with monitored(valkey) as told, stack.worker(), stack.api(), ThreadPoolExecutor(len(LEAKS)) as callers:
            stack.wait_for_worker()
            stack.wait_for_api()
            people = {leak: run.person(leak, handle=f"{leak}.test") for leak in LEAKS}
            list(callers.map(lambda person: person.connect(), people.values()))
        run.evidence.add(REDIS, told)
        run.search()
        yield run


@pytest.mark.parametrize("leak", LEAKED)
def test_a_leaked_password_is_found(leaky_run: Run, leak: str) -> None:
    assert {channel for secret, channel in leaky_run.finds if secret == leak} == LEAKED[leak]


def test_leaked_tokens_are_found(leaky_run: Run) -> None:
    """One in base64 in the log, the end of one in a column."""
    assert {channel for secret, channel in leaky_run.finds if secret == TOKEN} == {OUTPUT, DATABASE, ANSWERS, FILES}


def test_nothing_else_is_found(leaky_run: Run) -> None:
    assert {secret for secret, _ in leaky_run.finds} == {*LEAKED, TOKEN}
