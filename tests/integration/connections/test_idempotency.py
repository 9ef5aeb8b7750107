"""Repeated requests with an Idempotency-Key, on SQLite and on Postgres."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, update

from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import IdempotencyKeyReused, ValidationFailed
from connections.models import connect_tasks, idempotency_keys
from connections.outcome import Outcome
from connections.repository import attempts
from connections.service import Accepted, ConnectService
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Sealer, WorkerKeys
from tests.factories import Tenant, connect_command, make_tenant


@pytest.fixture
def service(database: Database, worker_keys: WorkerKeys, settings: Settings) -> ConnectService:
    return ConnectService(database, Sealer(worker_keys.for_shim()), settings)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


def accept(
    service: ConnectService,
    tenant: Tenant,
    *,
    key: str | None = "key-1",
    request_id: str = "req_1",
    wait: float = 25,
    **command: Any,
) -> Accepted:
    return service.accept(
        tenant.caller,
        connect_command(**command),
        request_id=request_id,
        reply_to="shim_1",
        wait=wait,
        idempotency_key=key,
    )


def end(database: Database, task_id: str) -> None:
    with database.write() as connection:
        assert attempts.finish_task(connection, task_id, fence=0, status=TaskStatus.FAILED, outcome=Outcome().to_row())


def count_tasks(database: Database) -> int | None:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(connect_tasks)).scalar()


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_repeated_request_has_the_first_ones_task_and_request_id(
    service: ConnectService, tenant: Tenant, database: Database, has_ended: bool
) -> None:
    first = accept(service, tenant)
    if has_ended:
        end(database, first.task_id)
    again = accept(service, tenant, request_id="req_2")

    assert (again.task_id, again.request_id, again.is_new) == (first.task_id, "req_1", False)
    assert count_tasks(database) == 1


def test_without_a_key_a_request_that_has_ended_is_made_anew(
    service: ConnectService, tenant: Tenant, database: Database
) -> None:
    first = accept(service, tenant, key=None)
    end(database, first.task_id)

    assert accept(service, tenant, key=None).is_new


OTHERS: dict[str, dict[str, Any]] = {
    "another password": {"password": "other"},
    "another handle": {"identifier": "bob.test"},
    "another profile": {"profile_id": "pr_other"},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("has_ended", [False, True])
def test_a_key_is_for_one_request(
    service: ConnectService, tenant: Tenant, database: Database, change: dict[str, Any], has_ended: bool
) -> None:
    first = accept(service, tenant)
    if has_ended:
        end(database, first.task_id)

    with pytest.raises(IdempotencyKeyReused):
        accept(service, tenant, **change)
    assert count_tasks(database) == 1


def test_keys_of_different_workspaces_have_nothing_to_do_with_each_other(
    service: ConnectService, tenant: Tenant, database: Database
) -> None:
    first = accept(service, tenant)

    assert accept(service, make_tenant(database), password="other").task_id != first.task_id


def test_another_key_for_a_request_in_flight_joins_it_under_its_own_request_id(
    service: ConnectService, tenant: Tenant
) -> None:
    first = accept(service, tenant, key="key-1")
    joined = accept(service, tenant, key="key-2", request_id="req_2")
    again = accept(service, tenant, key="key-2", request_id="req_3")

    assert joined.task_id == again.task_id == first.task_id
    assert (joined.request_id, again.request_id) == ("req_2", "req_2")


def test_a_key_is_free_again_after_a_day(service: ConnectService, tenant: Tenant, database: Database) -> None:
    first = accept(service, tenant)
    end(database, first.task_id)
    with database.write() as connection:
        connection.execute(update(idempotency_keys).values(expires_at=from_now(-1)))
    another = accept(service, tenant, password="other", request_id="req_2")

    assert another.is_new
    assert accept(service, tenant, password="other").task_id == another.task_id


def test_a_key_lasts_a_day(service: ConnectService, tenant: Tenant, database: Database) -> None:
    accept(service, tenant)
    query = select(idempotency_keys.c.expires_at > from_now(23.9 * 3600))
    with database.read() as connection:
        assert connection.execute(query).scalar()


def test_what_is_refused_uses_no_key(service: ConnectService, tenant: Tenant) -> None:
    with pytest.raises(ValidationFailed):
        accept(service, tenant, profile_id="pr_other")

    assert accept(service, tenant).is_new


def test_a_repetition_that_is_polled_makes_its_task_patient(service: ConnectService, tenant: Tenant) -> None:
    first = accept(service, tenant)
    impatient = service.task(tenant.caller, first.task_id).max_attempts
    accept(service, tenant, wait=0)

    assert service.task(tenant.caller, first.task_id).max_attempts > impatient


def test_repetitions_at_the_same_time_share_one_task(
    service: ConnectService, tenant: Tenant, database: Database
) -> None:
    together = Barrier(8)

    def repeat(number: int) -> Accepted:
        together.wait(20)
        return accept(service, tenant, request_id=f"req_{number}")

    with ThreadPoolExecutor(8) as threads:
        accepted = list(threads.map(repeat, range(8)))

    assert len({(one.task_id, one.request_id) for one in accepted}) == 1
    assert sum(one.is_new for one in accepted) == 1
    assert count_tasks(database) == 1


def test_different_requests_with_one_key_at_the_same_time_leave_one_task(
    service: ConnectService, tenant: Tenant, database: Database
) -> None:
    together = Barrier(8)

    def request(number: int) -> bool:
        together.wait(20)
        try:
            return accept(service, tenant, password=f"password {number}").is_new
        except IdempotencyKeyReused:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(request, range(8))) == 1
    assert count_tasks(database) == 1


def test_neither_key_nor_request_can_be_read_in_the_table(
    service: ConnectService, tenant: Tenant, database: Database
) -> None:
    accept(service, tenant, key="canary-key", password="canary-password")
    with database.read() as connection:
        row = connection.execute(select(idempotency_keys)).one()

    assert "canary" not in str(row)
