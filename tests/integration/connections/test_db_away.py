"""A Postgres that is frozen or cut off holds nobody longer than the limit, and works again without a restart."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import func, select

from connections.db import TRANSACTION_SECONDS, Database
from connections.errors import ServiceUnavailable
from connections.ids import new_id
from connections.models import workspaces as table
from connections.repository import workspaces
from tests.outages import Outage, outage
from tests.servers import wait_until

# What two slow processors may add to a deadline.
SLACK_SECONDS = 1.5

# Without waiting for the database: far less than the limit, and more than twelve threads on two slow processors take.
AT_ONCE_SECONDS = 1.0


class Subject:
    """A database with some connections in use, and the way to take it away."""

    def __init__(self, outage: Outage, limit: float) -> None:
        self.outage = outage
        self.limit = limit
        self.database = Database(outage.url, pool_size=4, transaction_seconds=limit)
        with ExitStack() as connections:
            for _ in range(4):
                connections.enter_context(self.database.read())

    def write(self) -> None:
        with self.database.write() as connection:
            workspaces.insert_workspace(connection, workspace_id=new_id("ws"), name="Acme")

    def works(self) -> bool:
        try:
            self.write()
        except ServiceUnavailable:
            return False
        return True

    def seconds_refused(self) -> float:
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            self.write()
        return time.monotonic() - started

    def count(self) -> int:
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.fixture(params=["frozen", "silent", "gone"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def limit() -> float:
    """A short one saves time."""
    return 3.0


@pytest.fixture
def subject(kind: str, limit: float, postgres_url: str) -> Iterator[Subject]:
    with outage(kind, postgres_url) as away:
        subject = Subject(away, limit)
        yield subject
        away.end()
        subject.database.close()


@pytest.mark.parametrize("limit", [TRANSACTION_SECONDS])
def test_nobody_is_held_longer_than_the_limit_and_all_works_again_afterwards(subject: Subject) -> None:
    subject.outage.begin()
    with ThreadPoolExecutor(12) as threads:
        held = list(threads.map(lambda _: subject.seconds_refused(), range(12)))
    assert max(held) < subject.limit + SLACK_SECONDS

    subject.outage.end()
    wait_until(subject.works, what="the database to be back", seconds=5)
    assert subject.count() == 1


@pytest.mark.parametrize("kind", ["frozen", "silent"], indirect=True)
def test_whoever_comes_after_the_silence_was_noticed_is_told_at_once(subject: Subject) -> None:
    subject.outage.begin()
    subject.seconds_refused()

    with ThreadPoolExecutor(12) as threads:
        held = sorted(threads.map(lambda _: subject.seconds_refused(), range(12)))
    assert held[-1] < AT_ONCE_SECONDS

    # And later one at a time asks again, while the others are spared.
    time_is_up = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > time_is_up, what="the silence to be tested again")
    with ThreadPoolExecutor(12) as threads:
        held = sorted(threads.map(lambda _: subject.seconds_refused(), range(12)))
    assert held[-2] < AT_ONCE_SECONDS
    assert held[-1] > subject.limit / 2


def test_a_transaction_that_is_cut_in_the_middle_leaves_nothing(subject: Subject) -> None:
    ids = [new_id("ws"), new_id("ws")]

    def write_two() -> None:
        with subject.database.write() as connection:
            workspaces.insert_workspace(connection, workspace_id=ids[0], name="Acme")
            subject.outage.begin()
            workspaces.insert_workspace(connection, workspace_id=ids[1], name="Acme")

    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="Nothing was stored"):
        write_two()
    assert time.monotonic() - started < subject.limit + SLACK_SECONDS

    subject.outage.end()
    wait_until(subject.works, what="the database to be back", seconds=5)
    assert subject.count() == 1
    with subject.database.write() as connection:  # nor does it hold a lock on what it was about to store
        workspaces.insert_workspace(connection, workspace_id=ids[0], name="Acme")


def test_a_commit_that_nobody_confirms_is_not_told_as_nothing_stored(subject: Subject) -> None:
    def write_two() -> None:
        with subject.database.write() as connection:
            for _ in range(2):
                workspaces.insert_workspace(connection, workspace_id=new_id("ws"), name="Acme")
            subject.outage.begin()

    with pytest.raises(ServiceUnavailable, match="may have been"):
        write_two()

    subject.outage.end()
    wait_until(subject.works, what="the database to be back", seconds=5)
    assert subject.count() in {1, 3}  # both or neither, and the one that shows it is back
