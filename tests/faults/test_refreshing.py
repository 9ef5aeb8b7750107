"""Sessions that are kept alive, and workers that are killed in the middle of it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, select, update

from connections.models import accounts, retired_sessions
from connections.sqltime import from_now
from sandbox.faults import Status
from sandbox.methods import REFRESH_SESSION
from tests.e2e.stack import body
from tests.faults.fleet import START_SECONDS, WORKERS, Fleet
from tests.faults.orders import Point
from tests.faults.people import Person
from tests.servers import wait_until

# A refresh token that was replaced works for two hours more.
NEARLY_THE_GRACE_SECONDS = 1.9 * 3600


class Kept:
    """One account, connected by the API."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.person: Person = fleet.person()
        answer = httpx.post(
            f"{fleet.urls[0]}/v1/accounts/connect",
            headers={"Authorization": f"Bearer {fleet.tenant().key}"},
            json=body(self.person.handle, self.person.password),
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code == 201, answer.text
        self.id: str = answer.json()["id"]

    @property
    def row(self) -> Row[Any]:
        with self.fleet.database.read() as connection:
            return connection.execute(select(accounts).where(accounts.c.id == self.id)).one()

    def is_refreshed_since(self, fence: int) -> bool:
        row = self.row
        return bool(row.refresh_fence > fence and row.refresh_fence % 2 == 0 and row.refresh_failures == 0)

    def due(self) -> int:
        """Lets it be refreshed now. The fence that it has."""
        with self.fleet.database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == self.id).values(refresh_at=from_now(-1.0)))
        return int(self.row.refresh_fence)

    def until_refreshed(self, fence: int) -> None:
        wait_until(lambda: self.is_refreshed_since(fence), what="the session to be refreshed", seconds=START_SECONDS)


@pytest.fixture
def kept(fleet: Fleet) -> Iterator[Kept]:
    kept = Kept(fleet)
    yield kept
    with fleet.database.write() as connection:  # the next test's sandbox knows nothing of it
        connection.execute(update(accounts).values(refresh_at=from_now(86_400.0)))


def killed_with_the_new_token(fleet: Fleet, kept: Kept) -> int:
    """One worker has its answer and dies. The fence as it was before."""
    for worker in WORKERS:
        fleet.orders.hold(worker, Point.REFRESHED)
    fence = kept.due()

    def holders() -> list[str]:
        return [worker for worker in WORKERS if kept.id in fleet.orders.held(worker, Point.REFRESHED)]

    wait_until(holders, what="a worker with the new token", seconds=START_SECONDS)
    [holder] = holders()
    fleet[holder].kill()
    for worker in WORKERS:
        fleet.release(Point.REFRESHED, worker)
    fleet[holder].start()
    return fence + 1


def test_a_worker_killed_with_the_new_token_in_hand(fleet: Fleet, kept: Kept) -> None:
    """The server has replaced the token and nobody has stored the new one: the old one is used again, and leads to the
    same session."""
    fence = killed_with_the_new_token(fleet, kept)
    kept.until_refreshed(fence)
    assert kept.row.status == "active"
    assert fleet.sandbox.control.count(REFRESH_SESSION, identifier=kept.person.did) == 2
    assert fleet.sandbox.control.open_sessions(kept.person.did) == 1
    with fleet.database.read() as connection:
        query = select(retired_sessions.c.end_at).where(retired_sessions.c.account_id == kept.id)
        assert list(connection.execute(query).scalars()) == [None]
    # It is alive: the next refresh uses what was stored.
    kept.until_refreshed(kept.due())
    assert kept.row.status == "active"


def test_a_worker_killed_and_a_server_that_fails_for_nearly_two_hours(fleet: Fleet, kept: Kept) -> None:
    failing = Status(status=503, method=REFRESH_SESSION)
    fence = killed_with_the_new_token(fleet, kept)
    fault = fleet.sandbox.control.order(failing)
    wait_until(lambda: kept.row.refresh_failures > 0, what="a failure", seconds=START_SECONDS)
    assert kept.row.status == "active"
    fleet.sandbox.control.advance_clock(NEARLY_THE_GRACE_SECONDS)
    fleet.sandbox.control.cancel(fault)
    kept.due()
    kept.until_refreshed(fence)
    assert kept.row.status == "active"
    assert fleet.sandbox.control.open_sessions(kept.person.did) == 1


def test_workers_told_to_stop_finish_what_they_have_begun(fleet: Fleet, kept: Kept) -> None:
    for worker in WORKERS:
        fleet.orders.hold(worker, Point.REFRESHED)
    fence = kept.due()
    wait_until(
        lambda: any(fleet.orders.held(worker, Point.REFRESHED) for worker in WORKERS),
        what="a worker with the new token",
        seconds=START_SECONDS,
    )
    for worker in WORKERS:
        fleet[worker].terminate()
        wait_until(lambda worker=worker: "worker_stopping" in fleet[worker].log, what="the end")  # type: ignore[misc]
        fleet.release(Point.REFRESHED, worker)
    assert [fleet[worker].wait(30) for worker in WORKERS] == [0, 0]
    assert kept.is_refreshed_since(fence)
    assert fleet.sandbox.control.count(REFRESH_SESSION, identifier=kept.person.did) == 1
