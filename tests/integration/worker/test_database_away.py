"""A database goes away while a worker is at it: the message is dropped, the row stays, the sweep brings it back."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import func, select

from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import ServiceUnavailable, UpstreamFailed
from connections.messages import CONNECT_ACCOUNT
from connections.models import accounts
from connections.service import FIRST_SWEEP_SECONDS, ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import Credentials, VerifiedAccount
from tests.factories import FakePlatform, NoLoginLimits, connect_command, make_tenant, verified
from tests.integration.worker.stack import Stack
from tests.outages import Outage, outage
from tests.processes import beat_command, running
from tests.servers import Valkey, wait_until
from worker.announce import Announcer
from worker.perform import Performer
from worker.platforms.base import BeforeLogin

LEASE_SECONDS = 2.0
# The sweep looks one second after the lease, and beat wakes it every two.
SWEEP_SECONDS = 3.0
SLACK_SECONDS = 3.0


class Silence(Announcer):
    def __init__(self) -> None:
        """Needs no Redis."""

    def settled(self, task_id: str, reply_to: str | None) -> None:
        """Nobody listens."""


class Site:
    """The API's service on a database that stays, and one worker's performer on the way to it that does not."""

    def __init__(self, url: str, away: Outage, keys: WorkerKeys, settings: Settings) -> None:
        self.away = away
        self.direct = Database(url)
        self.database = Database(away.url, transaction_seconds=3)
        self.service = ConnectService(self.direct, Sealer(keys.for_shim()), settings)
        self.settlement = Settlement(self.database, Opener(keys), TokenCipher(keys), lease_seconds=LEASE_SECONDS)
        self.tenant = make_tenant(self.direct)

    def accept(self) -> str:
        return self.service.accept(
            self.tenant.caller, connect_command(), request_id="req_1", reply_to="shim_1", wait=25
        ).task_id

    def perform(self, task_id: str, platform: FakePlatform) -> None:
        Performer(
            self.settlement,
            {"bluesky": platform},
            Silence(),
            NoLoginLimits(),
            attempt_seconds=5,
            is_stopping=lambda: False,
            pause=lambda _seconds: None,
        ).perform(task_id)

    def status(self, task_id: str) -> TaskStatus:
        return self.service.task(self.tenant.caller, task_id).status

    def seconds_until_back(self, task_id: str) -> float:
        """Until it is swept, or has ended: what was on its way to a database that froze is done when it thaws."""
        started = time.monotonic()
        wait_until(lambda: self._is_back(task_id), what="the sweep")
        return time.monotonic() - started

    def _is_back(self, task_id: str) -> bool:
        with suppress(ServiceUnavailable):  # a moment after a silence it still is, and beat's next message comes soon
            swept = self.settlement.sweep(limit=9)
            return task_id in [one.task_id for one in swept] or self.status(task_id).is_final
        return False


class Thief(FakePlatform):
    """Takes the database away in the middle of an attempt."""

    def __init__(self, take: Callable[[], None], answer: VerifiedAccount | UpstreamFailed) -> None:
        super().__init__([answer])
        self._take = take

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        self._take()
        return super().connect(credentials, deadline=deadline, before_login=before_login)


@pytest.fixture(params=["gone", "frozen"])
def site(
    request: pytest.FixtureRequest, postgres_url: str, worker_keys: WorkerKeys, settings: Settings
) -> Iterator[Site]:
    with outage(request.param, postgres_url) as away:
        site = Site(postgres_url, away, worker_keys, settings)
        yield site
        away.end()
        site.database.close()
        site.direct.close()


@pytest.mark.parametrize("step", ["claim", "settle", "postpone"])
def test_a_row_comes_back_after_the_database_and_is_connected_once(site: Site, step: str) -> None:
    task_id = site.accept()
    answer = UpstreamFailed() if step == "postpone" else verified()
    platform = Thief(site.away.begin, answer)
    if step == "claim":
        site.away.begin()
    with pytest.raises(ServiceUnavailable):
        site.perform(task_id, platform)
    assert platform.ended == []  # what was stored after all keeps its session

    site.away.end()
    longest = FIRST_SWEEP_SECONDS if step == "claim" else LEASE_SECONDS + 1.0
    assert site.seconds_until_back(task_id) < longest + SLACK_SECONDS
    site.perform(task_id, FakePlatform([verified()]))

    assert site.status(task_id) is TaskStatus.SUCCEEDED
    with site.direct.read() as connection:
        assert connection.execute(select(func.count()).select_from(accounts)).scalar_one() == 1


def test_a_worker_outlives_its_database_and_needs_no_message_twice(
    valkey: Valkey, postgres_url: str, tmp_path: Path
) -> None:
    with outage("gone", postgres_url) as away:
        stack = Stack(valkey, postgres_url, tmp_path)
        stack.environment["CONNECTOR_DATABASE_URL"] = away.url
        with stack.worker(), running(beat_command(), environment=stack.environment, log=stack.log):
            away.begin()
            task_id = stack.submit("alice.test")
            wait_until(lambda: CONNECT_ACCOUNT in stack.log.read_text(), what="the worker to have tried")
            away.end()
            wait_until(
                lambda: stack.status(task_id).is_final,
                what="the sweep",
                seconds=FIRST_SWEEP_SECONDS + SWEEP_SECONDS + SLACK_SECONDS,
            )
        stack.database.close()
