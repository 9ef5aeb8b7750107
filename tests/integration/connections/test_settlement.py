"""Claiming and settling tasks, on SQLite and on Postgres: races, leases, fences."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select, update

from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import AlreadyConnected, UpstreamFailed
from connections.messages import Queue
from connections.models import accounts, connect_tasks
from connections.outcome import Outcome
from connections.repository.attempts import ClaimedTask
from connections.repository.tasks import TaskRow
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Cell, Opener, Sealer, TokenCipher, UnreadableSecret, WorkerKeys
from tests.factories import Tenant, connect_command, make_tenant, verified


@pytest.fixture
def service(database: Database, worker_keys: WorkerKeys, settings: Settings) -> ConnectService:
    return ConnectService(database, Sealer(worker_keys.for_shim()), settings)


@pytest.fixture
def settlement(database: Database, worker_keys: WorkerKeys) -> Settlement:
    return Settlement(database, Opener(worker_keys), TokenCipher(worker_keys), lease_seconds=30)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


def accept(service: ConnectService, tenant: Tenant, identifier: str = "alice.test") -> str:
    command = connect_command(identifier)
    return service.accept(tenant.caller, command, request_id="req_1", reply_to="shim_1", wait=25).task_id


def claim(settlement: Settlement, task_id: str) -> ClaimedTask:
    task = settlement.claim(task_id)
    assert task is not None
    return task


def rewind(database: Database, task_id: str, *columns: str) -> None:
    """Lets the instants in these columns pass."""
    with database.write() as connection:
        change = update(connect_tasks).where(connect_tasks.c.id == task_id)
        connection.execute(change.values(dict.fromkeys(columns, from_now(-1))))


def failure() -> Outcome:
    return Outcome.of_error(UpstreamFailed().describe())


def task_of(service: ConnectService, tenant: Tenant, task_id: str) -> TaskRow:
    return service.task(tenant.caller, task_id)


def traces_of_credentials(database: Database) -> int | None:
    """How many tasks hold something that was made from their credentials."""
    query = select(func.count()).where(
        connect_tasks.c.sealed_credentials.is_not(None) | (connect_tasks.c.fingerprint != b"")
    )
    with database.read() as connection:
        return connection.execute(query).scalar()


def test_one_of_many_workers_gets_the_task(settlement: Settlement, service: ConnectService, tenant: Tenant) -> None:
    task_id = accept(service, tenant)
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: settlement.claim(task_id), range(8)))

    assert len([one for one in claims if one is not None]) == 1


def test_a_claim_carries_what_an_attempt_needs(settlement: Settlement, service: ConnectService, tenant: Tenant) -> None:
    task = claim(settlement, accept(service, tenant))

    assert (task.workspace_id, task.profile_id) == (tenant.workspace_id, tenant.profile_ids[0])
    assert (task.attempts, task.fence, task.reply_to, task.request_id) == (1, 1, "shim_1", "req_1")
    assert task.caller_waits_until is not None
    assert task.claimed_at < task.caller_waits_until < task.expires_at
    assert settlement.open_credentials(task).password == "correct"


def test_success_stores_the_account_and_erases_the_credentials(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database, worker_keys: WorkerKeys
) -> None:
    task_id = accept(service, tenant)
    assert settlement.succeed(claim(settlement, task_id), verified())

    row = task_of(service, tenant, task_id)
    account = Outcome.from_row(row.outcome).account
    assert row.status is TaskStatus.SUCCEEDED
    assert account is not None
    assert (account.account_name, account.external_account_id) == ("alice.test", "did:plc:alice")
    assert traces_of_credentials(database) == 0
    with database.read() as connection:
        stored = connection.execute(select(accounts)).one()
    assert b"canary" not in stored.access_token + stored.refresh_token
    cipher = TokenCipher(worker_keys)
    assert cipher.decrypt(stored.refresh_token, Cell(account.id, "refresh_token")) == "refresh-canary"
    with pytest.raises(UnreadableSecret):
        cipher.decrypt(stored.refresh_token, Cell(account.id, "access_token"))


def test_failure_erases_the_credentials_too(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    assert traces_of_credentials(database) == 1
    assert settlement.fail(claim(settlement, task_id), failure())

    assert task_of(service, tenant, task_id).status is TaskStatus.FAILED
    assert traces_of_credentials(database) == 0


def test_a_settled_task_is_not_claimed_again(settlement: Settlement, service: ConnectService, tenant: Tenant) -> None:
    task_id = accept(service, tenant)
    settlement.succeed(claim(settlement, task_id), verified())

    assert settlement.claim(task_id) is None


def test_a_worker_that_lost_its_lease_changes_nothing(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    slow = claim(settlement, task_id)
    rewind(database, task_id, "available_at")
    quick = claim(settlement, task_id)

    assert not settlement.succeed(slow, verified())
    assert not settlement.fail(slow, failure())
    assert not settlement.postpone(slow, failure(), 1.0)
    with database.read() as connection:
        assert connection.execute(select(accounts)).all() == []
    assert settlement.succeed(quick, verified())


def test_an_account_is_connected_once_whoever_comes_first(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    claims = [claim(settlement, accept(service, tenant, f"alice{number}.test")) for number in range(6)]

    def settle(task: ClaimedTask) -> AlreadyConnected | None:
        try:
            assert settlement.succeed(task, verified())
        except AlreadyConnected as error:
            return error
        return None

    with ThreadPoolExecutor(6) as threads:
        refused = [error for error in threads.map(settle, claims) if error is not None]
    assert len(refused) == 5
    assert all("alice.test" in error.message and "account_id" in (error.details or {}) for error in refused)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(accounts)).scalar() == 1


def test_two_workspaces_may_connect_the_same_account(
    settlement: Settlement, service: ConnectService, database: Database
) -> None:
    for tenant in (make_tenant(database), make_tenant(database)):
        task = claim(settlement, accept(service, tenant))
        settlement.refuse_if_connected(task, "did:plc:alice", "alice.test")
        assert settlement.succeed(task, verified())


def test_a_postponed_task_waits_until_it_is_due(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    assert settlement.postpone(claim(settlement, task_id), failure(), 60.0)

    row = task_of(service, tenant, task_id)
    assert row.status is TaskStatus.RETRYING
    assert Outcome.from_row(row.outcome).error is not None
    assert settlement.claim(task_id) is None
    rewind(database, task_id, "available_at")
    assert claim(settlement, task_id).attempts == 2


def swept(settlement: Settlement) -> list[tuple[str, bool]]:
    return [(one.task_id, one.has_expired) for one in settlement.sweep(limit=9)]


def test_the_sweep_leaves_alone_what_goes_its_way(
    settlement: Settlement, service: ConnectService, tenant: Tenant
) -> None:
    accept(service, tenant)
    claim(settlement, accept(service, tenant, "bob.test"))
    settlement.postpone(claim(settlement, accept(service, tenant, "carol.test")), failure(), 60.0)
    settlement.fail(claim(settlement, accept(service, tenant, "dan.test")), failure())

    assert swept(settlement) == []


def test_the_sweep_finds_a_task_without_a_message_once(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    rewind(database, task_id, "sweep_at")
    with ThreadPoolExecutor(4) as threads:
        found = [one for batch in threads.map(lambda _: swept(settlement), range(4)) for one in batch]

    assert found == [(task_id, False)]


def test_the_sweep_brings_back_the_task_of_a_dead_worker(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    claim(settlement, task_id)
    rewind(database, task_id, "available_at", "sweep_at")

    (found,) = settlement.sweep(limit=9)
    assert (found.task_id, found.queue) == (task_id, Queue.CONNECT)
    assert claim(settlement, task_id).attempts == 2


def test_the_sweep_ends_what_has_expired(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    rewind(database, task_id, "sweep_at", "expires_at")

    assert swept(settlement) == [(task_id, True)]
    assert task_of(service, tenant, task_id).status is TaskStatus.EXPIRED
    assert traces_of_credentials(database) == 0


def test_a_lost_task_is_looked_at_again_when_it_expires(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task_id = accept(service, tenant)
    with database.write() as connection:
        late = update(connect_tasks).values(sweep_at=from_now(-1), sweeps=30, expires_at=from_now(5))
        connection.execute(late)

    assert swept(settlement) == [(task_id, False)]
    with database.read() as connection:
        row = connection.execute(select(connect_tasks)).one()
    assert row.sweep_at == row.expires_at


def test_an_account_without_a_proved_name_has_none(
    settlement: Settlement, service: ConnectService, tenant: Tenant
) -> None:
    task_id = accept(service, tenant)
    assert settlement.succeed(claim(settlement, task_id), replace(verified(), name=None))

    account = Outcome.from_row(task_of(service, tenant, task_id).outcome).account
    assert account is not None
    assert account.account_name is None


def test_succeeding_twice_is_succeeding_once(
    settlement: Settlement, service: ConnectService, tenant: Tenant, database: Database
) -> None:
    task = claim(settlement, accept(service, tenant))

    assert settlement.succeed(task, verified())
    assert settlement.succeed(task, verified())
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(accounts)).scalar() == 1
