"""Sessions that are kept alive: on both databases, at a sandbox."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, null, select, update

from connections.contract import AccountStatus
from connections.db import Database
from connections.ending import Ending
from connections.errors import NotFound, ReconnectRequired, ServiceUnavailable, SessionEnded, UpstreamFailed
from connections.keeping import Kept, PutOff
from connections.models import accounts, audit_log, webhook_deliveries, webhooks
from connections.repository import keys as key_rows
from connections.repository import reconnecting
from connections.repository.accounts import NewAccount, lock_account
from connections.repository.retiring import retire_sessions
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Cell
from connections.verified import Refreshed, StoredAccount
from sandbox.client import ControlClient, SandboxAccount
from sandbox.faults import Delay, Status
from sandbox.methods import CREATE_SESSION, REFRESH_SESSION
from sandbox.plc import did_document
from sandbox.process import SandboxProcess
from tests.factories import FakePlatform, verified
from tests.integration.worker.kept import DAY, Fleet, outcomes
from tests.servers import wait_until
from tests.spans import recorded
from worker.ending import Ender
from worker.pace import Unpaced
from worker.platforms.base import Platform
from worker.platforms.bluesky.adapter import Bluesky

HOUR = 3600.0
APP_PASSWORD = "abcd-efgh-2345-wxyz"
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--pds-port", "0", "--pds-port", "0") as process:
        yield process


@pytest.fixture
def control(sandbox: SandboxProcess) -> ControlClient:
    sandbox.control.reset()
    return sandbox.control


@pytest.fixture
def advance(control: ControlClient) -> Iterator[Callable[[float], None]]:
    """Moves the sandbox's clock, for one test: the next one's tokens are to end when they do by ours."""
    passed = [0.0]

    def advance(seconds: float) -> None:
        passed.append(seconds)
        control.advance_clock(seconds)

    yield advance
    control.advance_clock(-sum(passed))


@pytest.fixture
def platform_settings(sandbox: SandboxProcess, settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "plc_url": sandbox.plc_url,
            "dev_pds_url": sandbox.hosts["pds"],
            "bluesky_url": sandbox.hosts["pds2"],  # the one other server that may be called without https
            "dns_servers": (sandbox.dns_address,),
        }
    )


@pytest.fixture
def fleet(database: Database, control: ControlClient, platform_settings: Settings) -> Iterator[Fleet]:
    fleet = Fleet(database, control, platform_settings)
    yield fleet
    fleet.close()


@pytest.fixture
def person(control: ControlClient) -> SandboxAccount:
    return control.create_account("keeper.test", app_password=APP_PASSWORD)


@dataclass
class Interrupted:
    """A platform at which something happens between its answer and whatever is done with that."""

    platform: Platform
    meanwhile: Callable[[StoredAccount], object]

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        refreshed = self.platform.refresh(account, deadline=deadline)
        self.meanwhile(account)
        return refreshed

    def __getattr__(self, name: str) -> object:
        return getattr(self.platform, name)


def interrupted(fleet: Fleet, meanwhile: Callable[[StoredAccount], object]) -> Platform:
    platform: Platform = Interrupted(Bluesky(fleet.settings, Unpaced()), meanwhile)  # type: ignore[assignment]
    return platform


def reconnect(fleet: Fleet, account_id: str, person: SandboxAccount) -> str:
    """As settling a reconnect does it. The new refresh token."""
    verified = fleet.log_in(person)
    new = NewAccount(
        id=account_id,
        workspace_id=fleet.tenant.workspace_id,
        profile_id=fleet.tenant.profile_ids[0],
        platform="bluesky",
        external_id=verified.external_id,
        account_name=verified.name,
        display_name=None,
        avatar_url=None,
        host=verified.host,
        session=fleet.cipher.encrypt_session(account_id, verified.session),
    )
    with fleet.database.write() as connection:
        lock_account(connection, fleet.tenant.workspace_id, account_id)
        retire_sessions(connection, account_id)
        reconnecting.replace_session(connection, new)
    return verified.session.refresh_token


def disconnect(fleet: Fleet, account_id: str) -> None:
    """As disconnecting does it."""
    with fleet.database.write() as connection:
        lock_account(connection, fleet.tenant.workspace_id, account_id)
        retire_sessions(connection, account_id)
        connection.execute(
            update(accounts)
            .where(accounts.c.id == account_id)
            .values(status=AccountStatus.DISCONNECTED, access_token=null(), refresh_token=null(), token_key=null())
        )


def listen(fleet: Fleet) -> None:
    """A webhook that wants to hear of sessions that were lost."""
    with fleet.database.write() as connection:
        connection.execute(
            insert(webhooks).values(
                id="wh_1",
                workspace_id=fleet.tenant.workspace_id,
                name="hook",
                url="https://hooks.example.com/",
                events=["account.reconnect_required"],
                active=True,
                sealed_secret=b"key1.sealed",
                sealing_key="key1",
                secret_preview="whsec_",
                created_at=from_now(),
                updated_at=from_now(),
            )
        )


class TestARefresh:
    def test_replaces_the_session(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        before = fleet.refresh_token(account_id)
        worker = fleet.worker()
        worker.refresher.refresh_due()

        row = fleet.row(account_id)
        after = fleet.refresh_token(account_id)
        assert after != before
        assert fleet.cipher.decrypt(row["access_token"], Cell(account_id, "access_token")).count(".") == 2
        assert (row["status"], row["refresh_failures"], row["last_error"]) == ("active", 0, None)
        assert 1.9 * HOUR < (row["access_expires_at"] - row["refreshed_at"]).total_seconds() < 2.1 * HOUR
        assert 0.89 * DAY < fleet.due_in(account_id) < 1.11 * DAY
        [retired] = fleet.retired(account_id)
        assert (fleet.open(account_id, retired["refresh_token"]), retired["end_at"]) == (before, None)
        assert (retired["expires_at"] - retired["retired_at"]).total_seconds() == pytest.approx(2 * HOUR, abs=1)
        assert retired["host"] == row["host"]
        assert fleet.control.open_sessions(person.did) == 1
        assert outcomes(worker) == {"refreshed": 1}

    def test_comes_when_it_is_due(self, fleet: Fleet, person: SandboxAccount) -> None:
        fleet.connect(person, due_in=60.0)
        fleet.worker().refresher.refresh_due()
        assert fleet.control.count(REFRESH_SESSION) == 0

    def test_comes_for_rows_of_an_older_version(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person, due_in=-50 * 365 * DAY)
        fleet.worker().refresher.refresh_due()
        assert fleet.control.count(REFRESH_SESSION) == 1
        assert fleet.due_in(account_id) > 0.8 * DAY

    def test_goes_on_for_days(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient, advance: Callable[[float], None]
    ) -> None:
        account_id = fleet.connect(person)
        worker = fleet.worker()
        for _ in range(3):  # longer than the first refresh token would have worked
            fleet.due(account_id)
            worker.refresher.refresh_due()
            advance(40 * DAY)
        assert fleet.status(account_id) is AccountStatus.ACTIVE
        assert outcomes(worker) == {"refreshed": 3}

    def test_is_one_whoever_races_for_it(self, fleet: Fleet, control: ControlClient) -> None:
        people = control.create_accounts([f"racer{n}.test" for n in range(12)], app_password=APP_PASSWORD)
        ids = [fleet.connect(person) for person in people]
        workers = [fleet.worker() for _ in range(4)]
        barrier = threading.Barrier(len(workers))

        def race(number: int) -> None:
            barrier.wait()
            workers[number].refresher.refresh_due()

        with ThreadPoolExecutor(len(workers)) as pool:
            list(pool.map(race, range(len(workers))))
        assert [control.count(REFRESH_SESSION, identifier=person.did) for person in people] == [1] * len(people)
        assert all(fleet.due_in(account_id) > HOUR for account_id in ids)

    def test_that_has_more_to_do_asks_for_another_run(self, fleet: Fleet, control: ControlClient) -> None:
        for person in control.create_accounts([f"many{n}.test" for n in range(21)], app_password=APP_PASSWORD):
            fleet.connect(person)
        worker = fleet.worker()
        worker.refresher.refresh_due()
        assert (control.count(REFRESH_SESSION), len(worker.asked)) == (20, 1)
        worker.refresher.refresh_due()
        assert (control.count(REFRESH_SESSION), len(worker.asked)) == (21, 1)

    def test_survives_an_exchange_of_the_keys(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        before = fleet.refresh_token(account_id)

        def exchange(_account: StoredAccount) -> None:
            with fleet.database.write() as connection:
                key_id = fleet.keys.tokens[0].id
                [row] = key_rows.secret_rows(connection, key_rows.ACCOUNT_TOKENS, key_id, after="", limit=1)
                cells = [Cell(account_id, column) for column in ("access_token", "refresh_token")]
                again = [
                    fleet.cipher.encrypt(fleet.cipher.decrypt(stored or b"", cell), cell)
                    for stored, cell in zip(row.secrets, cells, strict=True)
                ]
                new = replace(row, secrets=tuple(again))
                key_rows.replace_secrets(connection, key_rows.ACCOUNT_TOKENS, [(row, new)], key_id=key_id)

        fleet.worker(platform=interrupted(fleet, exchange)).refresher.refresh_due()
        assert fleet.refresh_token(account_id) != before
        [retired] = fleet.retired(account_id)
        assert (fleet.open(account_id, retired["refresh_token"]), retired["end_at"]) == (before, None)

    def test_that_was_stored_and_not_confirmed_is_stored_once(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        worker = fleet.worker()
        keeping = worker.keeper.keeping
        [claimed] = keeping.claim_due(limit=1, lease=60)
        used = keeping.open(claimed)
        refreshed = worker.platform.refresh(used, deadline=time.monotonic() + 5)
        encrypted = keeping.encrypt(claimed, refreshed)
        kept = [keeping.store(claimed, used, refreshed, encrypted, refresh_in=DAY) for _ in range(2)]
        assert kept == [Kept.STORED, Kept.STORED]
        assert len(fleet.retired(account_id)) == 1


class TestATemporaryFailure:
    def test_changes_no_status(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)
        worker = fleet.worker()
        fault = control.order(Status(status=503, method=REFRESH_SESSION))
        for failures in (1, 2, 3):
            fleet.due(account_id)
            worker.refresher.refresh_due()
            row = fleet.row(account_id)
            assert (row["status"], row["refresh_failures"]) == ("active", failures)
            assert row["last_error"]["code"] == "UPSTREAM_ERROR"
            assert row["last_error_at"] is not None
            assert 0 < fleet.due_in(account_id) <= 900
        control.cancel(fault)
        fleet.due(account_id)
        worker.refresher.refresh_due()
        row = fleet.row(account_id)
        assert (row["refresh_failures"], row["last_error"], row["last_error_at"]) == (0, None, None)
        assert outcomes(worker) == {"upstream_error": 3, "refreshed": 1}

    def test_waits_as_long_as_a_limit_says(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)
        limited = Status(status=429, error="RateLimitExceeded", headers={"retry-after": "5000"}, method=REFRESH_SESSION)
        control.order(limited)
        fleet.worker().refresher.refresh_due()
        assert fleet.due_in(account_id) > 4990
        assert fleet.status(account_id) is AccountStatus.ACTIVE

    def test_that_left_the_token_replaced_is_made_up_for(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient, advance: Callable[[float], None]
    ) -> None:
        """The server replaces the token and its answer comes too late."""
        account_id = fleet.connect(person)
        worker = fleet.worker(attempt_seconds=2.0)
        fault = control.order(Delay(method=REFRESH_SESSION, after=3.0))
        worker.refresher.refresh_due()
        control.cancel(fault)
        assert (fleet.status(account_id), fleet.row(account_id)["refresh_failures"]) == (AccountStatus.ACTIVE, 1)
        advance(1.9 * HOUR)
        fleet.due(account_id)
        worker.refresher.refresh_due()
        assert fleet.row(account_id)["refresh_failures"] == 0
        assert control.open_sessions(person.did) == 1

    def test_of_a_host_for_everyone_is_left_to_a_few_to_find_out(self, fleet: Fleet, control: ControlClient) -> None:
        people = control.create_accounts([f"down{n}.test" for n in range(19)], app_password=APP_PASSWORD)
        ids = [fleet.connect(person) for person in people]
        control.order(Status(status=503, method=REFRESH_SESSION))
        worker = fleet.worker()
        worker.refresher.refresh_due()
        assert control.count(REFRESH_SESSION) == 10
        rows = [fleet.row(account_id) for account_id in ids]
        assert {row["status"] for row in rows} == {"active"}
        assert sum(row["refresh_failures"] for row in rows) == 11  # one was told that the host fails
        untried = [account_id for account_id, row in zip(ids, rows, strict=True) if not row["refresh_failures"]]
        assert all(80 < fleet.due_in(account_id) <= 900 for account_id in untried)
        assert len(untried) == 8

    def test_of_one_account_holds_nobody_up(self, fleet: Fleet, control: ControlClient) -> None:
        ill, well = control.create_accounts(["ill.test", "well.test"], app_password=APP_PASSWORD)
        fleet.connect(ill, due_in=-60)
        account_id = fleet.connect(well)
        control.order(Status(status=500, method=REFRESH_SESSION, account=ill.did))
        fleet.worker().refresher.refresh_due()
        assert fleet.due_in(account_id) > HOUR


class TestARefusal:
    def test_asks_for_a_reconnect(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        listen(fleet)
        account_id = fleet.connect(person)
        worker = fleet.worker()
        worker.refresher.refresh_due()
        control.take_down(person.did)
        control.take_down(person.did, applied=False)  # what is left of that are its sessions, revoked
        fleet.due(account_id)
        worker.refresher.refresh_due()

        row = fleet.row(account_id)
        assert (row["status"], row["status_cause"]) == ("reconnect_required", "session_ended")
        assert row["status_since"] is not None
        assert (row["access_token"], row["refresh_token"], row["token_key"]) == (None, None, None)
        assert row["last_error"]["next_action"] == "reconnect_account"
        assert fleet.retired(account_id) == []
        with fleet.database.read() as connection:
            [entry] = connection.execute(select(audit_log)).mappings()
            [delivery] = connection.execute(select(webhook_deliveries)).mappings()
        assert (entry["actor"], entry["action"], entry["account_id"]) == ("worker", "account.refused", account_id)
        assert (entry["outcome"], entry["cause"]) == ("failed", "session_ended")
        assert (delivery["event"], delivery["subject"]) == ("account.reconnect_required", account_id)
        assert (delivery["data"]["status"], delivery["data"]["cause"]) == ("reconnect_required", "session_ended")
        assert delivery["data"]["external_account_id"] == person.did
        assert outcomes(worker) == {"refreshed": 1, "session_ended": 1}

        asked = control.count(REFRESH_SESSION)
        fleet.due(account_id)
        worker.refresher.refresh_due()
        assert control.count(REFRESH_SESSION) == asked

    def test_of_an_account_that_is_taken_down(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person)
        control.take_down(person.did)
        fleet.worker().refresher.refresh_due()
        row = fleet.row(account_id)
        assert (row["status"], row["status_cause"]) == ("reconnect_required", "account_unavailable")

    def test_leaves_sessions_that_are_to_be_ended(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person)
        first = fleet.refresh_token(account_id)
        reconnect(fleet, account_id, person)
        control.take_down(person.did)
        control.take_down(person.did, applied=False)
        fleet.due(account_id)
        fleet.worker().refresher.refresh_due()
        [retired] = fleet.retired(account_id)
        assert fleet.status(account_id) is AccountStatus.RECONNECT_REQUIRED
        assert (fleet.open(account_id, retired["refresh_token"]), retired["end_at"] is None) == (first, False)

    def test_is_none_while_an_account_is_deactivated(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person)
        worker = fleet.worker()
        control.deactivate(person.did)
        worker.refresher.refresh_due()
        row = fleet.row(account_id)
        assert (row["status"], row["refresh_failures"]) == ("active", 0)
        assert row["last_error"]["issues"][0]["code"] == "account_unavailable"
        control.deactivate(person.did, applied=False)
        fleet.due(account_id)
        worker.refresher.refresh_due()
        assert fleet.row(account_id)["last_error"] is None


class TestAMove:
    def test_is_followed(self, fleet: Fleet, control: ControlClient, sandbox: SandboxProcess) -> None:
        person = control.create_account("mover.test", app_password=APP_PASSWORD, host="pds2")
        account_id = fleet.connect(person)
        fleet.due(account_id, host=sandbox.hosts["pds"])
        fleet.worker().refresher.refresh_due()
        assert fleet.row(account_id)["host"] == sandbox.hosts["pds2"]
        assert [control.count(REFRESH_SESSION, host=host) for host in ("pds", "pds2")] == [1, 1]
        [retired] = fleet.retired(account_id)
        assert retired["host"] == sandbox.hosts["pds"]

    def test_is_followed_from_a_server_that_is_gone(
        self, fleet: Fleet, person: SandboxAccount, sandbox: SandboxProcess
    ) -> None:
        account_id = fleet.connect(person)
        fleet.due(account_id, host=NOWHERE)
        fleet.worker().refresher.refresh_due()
        assert fleet.row(account_id)["host"] == sandbox.hosts["pds"]

    def test_to_where_the_session_is_unknown_asks_for_a_reconnect(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient, sandbox: SandboxProcess
    ) -> None:
        account_id = fleet.connect(person)
        control.take_down(person.did)
        control.take_down(person.did, applied=False)
        control.put_document(person.did, did_document(person.did, person.handle, sandbox.hosts["pds2"]))
        fleet.worker().refresher.refresh_due()
        row = fleet.row(account_id)
        assert (row["status"], row["status_cause"]) == ("reconnect_required", "account_moved")
        assert [control.count(REFRESH_SESSION, host=host) for host in ("pds", "pds2")] == [1, 1]
        [left] = fleet.retired(account_id)
        assert left["end_at"] is not None, "the server before has not ended it, and may be back"

    def test_to_nowhere_is_none(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)
        control.put_document(person.did, did_document(person.did, person.handle, NOWHERE))
        fleet.due(account_id, host=NOWHERE)
        worker = fleet.worker()
        worker.refresher.refresh_due()
        assert fleet.status(account_id) is AccountStatus.ACTIVE
        assert outcomes(worker) == {"upstream_error": 1}


def end_sessions(fleet: Fleet) -> None:
    """All that are to be ended, by the worker that does it."""
    ending = Ending(fleet.database, fleet.cipher, lease_seconds=60)
    platform = Bluesky(fleet.settings, Unpaced())
    Ender(ending, {"bluesky": platform}, is_stopping=lambda: False).end_sessions()
    platform.close()


class TestMeanwhile:
    def test_reconnected(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        first, new = fleet.refresh_token(account_id), list[str]()
        worker = fleet.worker(platform=interrupted(fleet, lambda _: new.append(reconnect(fleet, account_id, person))))
        worker.refresher.refresh_due()

        assert [fleet.refresh_token(account_id)] == new
        assert fleet.status(account_id) is AccountStatus.ACTIVE
        ended = {fleet.open(account_id, row["refresh_token"]): row["end_at"] for row in fleet.retired(account_id)}
        assert len(ended) == 2  # the first one, and that which took its place a moment ago
        assert first in ended
        assert new[0] not in ended
        assert None not in ended.values()
        assert outcomes(worker) == {"lost": 1}
        end_sessions(fleet)
        [alive] = fleet.control.refresh_tokens(person.did)
        assert not alive["replaced"]
        fleet.due(account_id)
        fleet.worker().refresher.refresh_due()
        assert fleet.row(account_id)["refresh_failures"] == 0

    def test_disconnected(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        worker = fleet.worker(platform=interrupted(fleet, lambda _: disconnect(fleet, account_id)))
        worker.refresher.refresh_due()

        row = fleet.row(account_id)
        assert (row["status"], row["refresh_token"], row["access_token"]) == ("disconnected", None, None)
        retired = fleet.retired(account_id)
        assert len(retired) == 2
        assert all(one["end_at"] is not None for one in retired)
        end_sessions(fleet)
        assert fleet.control.refresh_tokens(person.did) == []

    def test_disconnected_soon_after_a_refresh(self, fleet: Fleet, person: SandboxAccount) -> None:
        """The token that was replaced a moment ago would go on with the session."""
        account_id = fleet.connect(person)
        fleet.worker().refresher.refresh_due()
        assert len(fleet.control.refresh_tokens(person.did)) == 2
        disconnect(fleet, account_id)
        end_sessions(fleet)
        assert fleet.control.refresh_tokens(person.did) == []

    def test_taken_over_by_another_worker(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient, advance: Callable[[float], None]
    ) -> None:
        """A worker that was frozen for longer than its lease comes back with the very session that another has stored:
        to end that would end the account's."""
        account_id = fleet.connect(person)
        other = fleet.worker()

        def freeze(_account: StoredAccount) -> None:
            fleet.due(account_id)
            other.refresher.refresh_due()

        frozen = fleet.worker(platform=interrupted(fleet, freeze))
        frozen.refresher.refresh_due()
        assert (outcomes(other), outcomes(frozen)) == ({"refreshed": 1}, {"lost": 1})
        assert [row["end_at"] for row in fleet.retired(account_id)] == [None]
        advance(3 * HOUR)
        fleet.due(account_id)
        other.refresher.refresh_due()
        assert outcomes(other) == {"refreshed": 2}

    def test_claimed_by_another_worker(self, fleet: Fleet, person: SandboxAccount) -> None:
        """As before, while the other one is still at it."""
        account_id = fleet.connect(person)
        other = fleet.worker().keeper.keeping

        def freeze(_account: StoredAccount) -> None:
            fleet.due(account_id)
            assert other.claim_due(limit=1, lease=60)

        fleet.worker(platform=interrupted(fleet, freeze)).refresher.refresh_due()
        assert fleet.retired(account_id) == []

    def test_refused_to_one_who_lost_it(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        """What an old token is told says nothing of the new session."""
        account_id = fleet.connect(person)
        worker = fleet.worker()
        [claimed] = worker.keeper.keeping.claim_due(limit=1, lease=60)
        reconnect(fleet, account_id, person)
        assert not worker.keeper.keeping.give_up(claimed, SessionEnded())
        assert fleet.status(account_id) is AccountStatus.ACTIVE


class TestTheEndOfAWorker:
    def test_in_the_middle_of_a_refresh_loses_no_session(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient, advance: Callable[[float], None]
    ) -> None:
        """The server has replaced the token, and the process ends before anybody has stored the new one."""
        account_id = fleet.connect(person)
        before = fleet.refresh_token(account_id)

        def die(_account: StoredAccount) -> None:
            raise SystemExit

        with pytest.raises(SystemExit):
            fleet.worker(platform=interrupted(fleet, die)).refresher.refresh_due()
        assert fleet.refresh_token(account_id) == before
        assert 0 < fleet.due_in(account_id) < 60  # its lease
        advance(1.9 * HOUR)
        fleet.due(account_id)
        fleet.worker().refresher.refresh_due()
        assert fleet.refresh_token(account_id) != before
        assert control.open_sessions(person.did) == 1

    def test_gives_back_what_is_not_begun(self, fleet: Fleet, control: ControlClient) -> None:
        people = control.create_accounts([f"ending{n}.test" for n in range(5)], app_password=APP_PASSWORD)
        ids = [fleet.connect(person) for person in people]

        def stop(_account: StoredAccount) -> None:
            fleet.stopping = True

        worker = fleet.worker(platform=interrupted(fleet, stop))
        worker.refresher.refresh_due()
        assert outcomes(worker) == {"refreshed": 1}  # the one that was under way
        assert sum(fleet.due_in(account_id) <= 0 for account_id in ids) == 4
        assert worker.asked == []


class TestALiveSession:
    @staticmethod
    def live(fleet: Fleet, account_id: str, *, least: float = 60.0, seconds: float = 10.0, number: int = 0) -> str:
        live = fleet.workers[number].sessions.live_session(
            fleet.tenant.workspace_id, account_id, least_seconds=least, deadline=time.monotonic() + seconds
        )
        return live.access_token

    @pytest.fixture(autouse=True)
    def worker(self, fleet: Fleet) -> None:
        fleet.worker()

    def test_is_the_stored_one_while_that_works_for_long_enough(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person, due_in=HOUR)
        live = fleet.workers[0].sessions.live_session(
            fleet.tenant.workspace_id, account_id, least_seconds=60, deadline=time.monotonic() + 5
        )
        row = fleet.row(account_id)
        assert live.access_token == fleet.cipher.decrypt(row["access_token"], Cell(account_id, "access_token"))
        assert (live.did, live.handle, live.host) == (person.did, person.handle, row["host"])
        assert live.expires_at == row["access_expires_at"]
        assert control.count(REFRESH_SESSION) == 0
        assert live.access_token not in repr(live)

    def test_is_refreshed_when_it_works_for_too_short(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person, due_in=HOUR)
        token = self.live(fleet, account_id, least=3 * HOUR)
        row = fleet.row(account_id)
        assert token == fleet.cipher.decrypt(row["access_token"], Cell(account_id, "access_token"))
        assert control.count(REFRESH_SESSION) == 1
        assert fleet.due_in(account_id) > 0.8 * DAY

    def test_is_refreshed_when_nobody_knows_for_how_long_it_works(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person, due_in=HOUR)
        with fleet.database.write() as connection:
            connection.execute(update(accounts).values(access_expires_at=null()))
        self.live(fleet, account_id)
        assert control.count(REFRESH_SESSION) == 1

    def test_of_many_who_ask_one_refreshes(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)  # due, so that a run races for it as well
        with fleet.database.write() as connection:
            connection.execute(update(accounts).values(access_expires_at=from_now(5.0)))
        fleet.worker()
        control.order(Delay(method=REFRESH_SESSION, after=0.5))
        with ThreadPoolExecutor(5) as pool:
            run = pool.submit(fleet.workers[1].refresher.refresh_due)
            tokens = list(pool.map(lambda number: self.live(fleet, account_id, number=number % 2), range(4)))
            run.result()
        assert len(set(tokens)) == 1
        assert control.count(REFRESH_SESSION) == 1

    def test_is_not_waited_for_beyond_the_deadline(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        account_id = fleet.connect(person)
        assert fleet.workers[0].keeper.keeping.claim_due(limit=1, lease=60)
        with pytest.raises(UpstreamFailed):
            self.live(fleet, account_id, least=3 * HOUR, seconds=0.6)
        assert control.count(REFRESH_SESSION) == 0

    def test_is_had_by_who_waits_although_a_batch_of_them_was_put_off(
        self, fleet: Fleet, person: SandboxAccount
    ) -> None:
        account_id = fleet.connect(person)
        keeping = fleet.workers[0].keeper.keeping
        [claimed] = keeping.claim_due(limit=1, lease=60)
        keeping.put_off([PutOff(claimed, 100.0)])
        assert self.live(fleet, account_id, least=3 * HOUR)

    def test_is_had_after_a_reconnect(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        for _ in range(2):
            reconnect(fleet, account_id, person)
            with fleet.database.write() as connection:
                connection.execute(update(accounts).values(refresh_at=from_now(20.0)))
            assert self.live(fleet, account_id, least=3 * HOUR)

    def test_of_nobody(self, fleet: Fleet, person: SandboxAccount) -> None:
        with pytest.raises(NotFound):
            self.live(fleet, "sa_unknown")
        account_id = fleet.connect(person)
        with pytest.raises(NotFound):
            fleet.workers[0].sessions.live_session(
                "ws_other", account_id, least_seconds=1, deadline=time.monotonic() + 1
            )

    def test_of_an_account_that_has_none(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)
        control.take_down(person.did)
        for _ in range(2):  # found out, and known
            with pytest.raises(ReconnectRequired):
                self.live(fleet, account_id, least=3 * HOUR)
        assert control.count(REFRESH_SESSION) == 1

    def test_refused_of_an_account_that_was_reconnected_meanwhile(
        self, fleet: Fleet, person: SandboxAccount, control: ControlClient
    ) -> None:
        """What the old session is told does not count; the new one is there already."""
        account_id = fleet.connect(person)
        control.take_down(person.did)
        control.take_down(person.did, applied=False)
        real = fleet.workers[0].platform
        new: list[str] = []

        @dataclass
        class Late:
            def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
                if not new:
                    new.append(reconnect(fleet, account_id, person))
                return real.refresh(account, deadline=deadline)

        fleet.worker(platform=Late())  # type: ignore[arg-type]
        assert self.live(fleet, account_id, least=3 * HOUR, number=1)
        assert fleet.status(account_id) is AccountStatus.ACTIVE
        fleet.workers.pop()

    def test_of_an_account_that_is_disconnected(self, fleet: Fleet, person: SandboxAccount) -> None:
        account_id = fleet.connect(person)
        disconnect(fleet, account_id)
        with pytest.raises(ReconnectRequired):
            self.live(fleet, account_id)

    def test_of_a_server_that_fails(self, fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
        account_id = fleet.connect(person)
        control.order(Status(status=500, method=REFRESH_SESSION))
        with pytest.raises(UpstreamFailed):
            self.live(fleet, account_id, least=3 * HOUR)
        assert fleet.status(account_id) is AccountStatus.ACTIVE


def test_a_key_that_is_missing_puts_off(fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
    ahead = Fleet(fleet.database, control, fleet.settings, keys=fleet.keys.rotated(now=datetime.now(UTC), used=[]))
    account_id = ahead.connect(person)
    other = Fleet(fleet.database, control, fleet.settings, keys=fleet.keys)
    other.worker().refresher.refresh_due()
    assert fleet.row(account_id)["refresh_failures"] == 0
    assert 4 < fleet.due_in(account_id) < 15
    with pytest.raises(ServiceUnavailable):
        other.workers[0].sessions.live_session(
            ahead.tenant.workspace_id, account_id, least_seconds=HOUR, deadline=time.monotonic() + 1
        )
    other.close()


def test_a_bug_is_one_accounts_failure(fleet: Fleet, control: ControlClient) -> None:
    people = control.create_accounts(["first.test", "second.test"], app_password=APP_PASSWORD)
    ids = [fleet.connect(person, due_in=-10.0 - number) for number, person in enumerate(people)]

    def stumble(account: StoredAccount) -> None:
        if account.external_id == people[1].did:
            raise ZeroDivisionError

    worker = fleet.worker(platform=interrupted(fleet, stumble))
    worker.refresher.refresh_due()
    assert outcomes(worker) == {"internal_error": 1, "refreshed": 1}
    assert [fleet.row(account_id)["refresh_failures"] for account_id in ids] == [0, 1]


def test_a_backlog_does_not_outlast_the_grace_of_a_token(fleet: Fleet, control: ControlClient) -> None:
    """Who became due lately goes ahead of those who have waited for days."""
    people = control.create_accounts([f"waits{n}.test" for n in range(21)], app_password=APP_PASSWORD)
    for person in people:
        fleet.connect(person, due_in=-2 * DAY)
    [late] = control.create_accounts(["late.test"], app_password=APP_PASSWORD)
    account_id = fleet.connect(late, due_in=-1.0)
    fleet.worker().refresher.refresh_due()
    assert fleet.due_in(account_id) > HOUR
    with fleet.database.read() as connection:
        due = connection.execute(select(func.count()).where(accounts.c.refresh_at <= from_now())).scalar_one()
    assert due == 2


def test_no_token_is_told(
    fleet: Fleet, person: SandboxAccount, control: ControlClient, capfd: pytest.CaptureFixture[str]
) -> None:
    account_id = fleet.connect(person)
    worker = fleet.worker(platform=interrupted(fleet, repr))
    worker.refresher.refresh_due()
    control.order(Status(status=500, method=REFRESH_SESSION))
    fleet.due(account_id)
    worker.refresher.refresh_due()
    disconnect(fleet, account_id)
    said = "".join(capfd.readouterr())
    tokens = control.tokens_issued()
    assert len(tokens) >= 3
    assert not [token for token in tokens if token in said]
    assert control.count(CREATE_SESSION) == 1


def test_traces_tell_how_it_went(fleet: Fleet, person: SandboxAccount, control: ControlClient) -> None:
    account_id = fleet.connect(person)
    worker = fleet.worker()
    with recorded() as memory:
        worker.refresher.refresh_due()
        control.take_down(person.did)
        fleet.due(account_id)
        worker.refresher.refresh_due()
    told = [span.attributes for span in memory.spans.named("refresh session")]
    assert [one["connector.outcome"] for one in told] == ["refreshed", "refused"]
    assert told[1]["connector.cause"] == "account_unavailable"
    assert {one["connector.account.id"] for one in told} == {account_id}
    assert f"POST /xrpc/{REFRESH_SESSION}" in memory.spans.names
    assert person.did not in str(memory.spans)
    assert not [token for token in control.tokens_issued() if token in str(memory.spans)]


def test_runs_are_bounded(fleet: Fleet) -> None:
    """Eight of 64 threads; a run more is nobody's, and the message of the next second finds what is left."""
    fleet.store(*(verified(f"did:plc:{number}") for number in range(200)))
    go = threading.Event()

    def wait(account: StoredAccount) -> Refreshed:
        go.wait(20)
        return Refreshed(account.session, account.name, account.host)

    platform = FakePlatform([], refreshes=[wait])
    worker = fleet.worker(platform=platform)
    with ThreadPoolExecutor(12) as pool:
        runs = [pool.submit(worker.refresher.refresh_due) for _ in range(12)]
        wait_until(lambda: sum(run.done() for run in runs) == 4, what="the runs that are too many")
        wait_until(lambda: len(platform.refreshed) == 8, what="the others")
        fleet.stopping = True
        go.set()
    assert len(platform.refreshed) == 8
