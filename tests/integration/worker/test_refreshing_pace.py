"""Many sessions that are due at once, within the budget of their host, behind everybody who waits."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from sqlalchemy import func, select

from connections.db import Database
from connections.models import accounts
from connections.rate import Rate
from connections.settings import Settings
from connections.sqltime import from_now
from connections.urls import host_of
from connections.verified import Credentials
from sandbox.methods import REFRESH_SESSION
from sandbox.process import SandboxProcess
from tests.integration.worker.kept import Fleet, outcomes
from tests.servers import wait_until
from worker.bulkhead import Bulkhead
from worker.pacing import Pacer

# What the host takes in four seconds, and more that is due at once.
BUDGET = Rate(120, 4)
DUE = 200
# More than any session has left, so that it is refreshed.
MORE_THAN_A_SESSION = 7201.0
APP_PASSWORD = "abcd-efgh-2345-wxyz"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def fleet(sqlite_url: str, sandbox: SandboxProcess, settings: Settings) -> Iterator[Fleet]:
    places = {"plc_url": sandbox.plc_url, "dev_pds_url": sandbox.pds_url, "dns_servers": (sandbox.dns_address,)}
    database = Database(sqlite_url)
    fleet = Fleet(database, sandbox.control, settings.model_copy(update=places))
    yield fleet
    fleet.close()
    database.close()


def due(fleet: Fleet) -> int:
    query = select(func.count()).where(accounts.c.refresh_at <= from_now(600.0))
    with fleet.database.read() as connection:
        return connection.execute(query).scalar_one()


def test_many_at_once_are_spread_over_the_budget_and_hold_up_nobody(
    fleet: Fleet, sandbox: SandboxProcess, client: redis.Redis
) -> None:
    control = sandbox.control
    people = control.create_accounts([f"due{number}.test" for number in range(DUE)], app_password=APP_PASSWORD)
    with ThreadPoolExecutor(8) as pool:
        fleet.store(*pool.map(fleet.log_in, people))
    late = control.create_accounts([f"late{number}.test" for number in range(5)], app_password=APP_PASSWORD)
    [someone] = fleet.store(fleet.log_in(late.pop()), due_in=86_400.0)

    def pacer() -> Pacer:
        host = host_of(sandbox.pds_url)
        return Pacer(client, budget=BUDGET, interactive_share=0.2, egress_address="us", bulkhead=Bulkhead({host}))

    workers = [fleet.worker(pace=pacer()) for _ in range(2)]
    began = time.time()
    has_ended = threading.Event()

    def tick(number: int) -> None:
        """Beat's messages, and those that runs ask for."""
        while not has_ended.wait(0.1):
            workers[number % 2].refresher.refresh_due()

    with ThreadPoolExecutor(6) as pool:
        ticking = [pool.submit(tick, number) for number in range(6)]
        try:
            wait_until(lambda: due(fleet) < DUE, what="the first")
            for person in late:
                workers[0].platform.connect(
                    Credentials(person.did, person.app_password),
                    deadline=time.monotonic() + 5,
                    before_login=lambda _id, _name: None,
                )
                workers[1].sessions.live_session(
                    fleet.tenant.workspace_id, someone, least_seconds=MORE_THAN_A_SESSION, deadline=time.monotonic() + 5
                )
            assert due(fleet) > 0, "who waits was to come in the middle of it"
            wait_until(lambda: due(fleet) == 0, what="all sessions to be refreshed", seconds=60)
        finally:
            has_ended.set()
    for thread in ticking:
        thread.result()

    refreshes = [request["at"] for request in control.requests(REFRESH_SESSION)]
    assert len(refreshes) == DUE + len(late)
    # That no window is overdrawn `test_pacing.py` shows, in a time of its own: requests that a busy machine delays
    # arrive together. However late they are, all of them cannot have come sooner than their turns.
    assert max(refreshes) - began >= (len(refreshes) - 1) * BUDGET.seconds / BUDGET.count
    done = [outcomes(worker) for worker in workers]
    assert sum(one.get("refreshed", 0) for one in done) == len(refreshes)
    assert {outcome for one in done for outcome in one} <= {"refreshed", "upstream_rate_limited"}
    with fleet.database.read() as connection:
        failures = connection.execute(select(func.sum(accounts.c.refresh_failures))).scalar_one()
    assert failures == 0
    assert control.open_sessions(people[0].did) == 1
