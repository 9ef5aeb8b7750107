"""Accepting requests and reading tasks, on SQLite and on Postgres."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, select, update

from connections.contract import TaskStatus
from connections.db import Database
from connections.errors import NotFound, ServiceUnavailable, Unauthorized, ValidationFailed
from connections.models import api_keys, connect_tasks
from connections.repository import workspaces
from connections.scopes import Scope
from connections.service import Accepted, ConnectService
from connections.settings import Settings
from connections.sqltime import from_now
from connections.vault import Opener, SealedFor, Sealer, WorkerKeys
from tests.factories import Tenant, connect_command, make_tenant


@pytest.fixture
def service(database: Database, worker_keys: WorkerKeys, settings: Settings) -> ConnectService:
    return ConnectService(database, Sealer(worker_keys.for_shim()), settings)


def accept(service: ConnectService, tenant: Tenant, *, wait: int = 25, **command: Any) -> Accepted:
    return service.accept(tenant.caller, connect_command(**command), request_id="req_1", reply_to="shim_1", wait=wait)


def test_an_accepted_request_is_a_queued_task(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    accepted = accept(service, tenant)

    task = service.task(tenant.caller, accepted.task_id)
    assert (task.status, task.profile_id, task.attempts) == (TaskStatus.QUEUED, tenant.profile_ids[0], 0)


def test_credentials_are_stored_sealed(service: ConnectService, database: Database, worker_keys: WorkerKeys) -> None:
    tenant = make_tenant(database)
    accepted = accept(service, tenant, password="canary-password")

    with database.read() as connection:
        row = connection.execute(select(connect_tasks)).one()
    assert not [value for value in row if "canary" in str(value)]
    sealed_for = SealedFor(accepted.task_id, tenant.workspace_id)
    opened = Opener(worker_keys).open(row.sealed_credentials, sealed_for)
    assert opened == {"identifier": "alice.test", "password": "canary-password"}


def test_identical_requests_in_flight_share_a_task(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    with ThreadPoolExecutor(16) as threads:
        accepted = list(threads.map(lambda _: accept(service, tenant), range(16)))

    assert len({one.task_id for one in accepted}) == 1
    assert sum(one.is_new for one in accepted) == 1
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(connect_tasks)).scalar() == 1


OTHERS = {
    "another password": {"password": "other"},
    "another handle": {"identifier": "bob.test"},
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_different_requests_do_not(service: ConnectService, database: Database, change: dict[str, Any]) -> None:
    tenant = make_tenant(database)

    assert accept(service, tenant).task_id != accept(service, tenant, **change).task_id


def test_workspaces_never_share_a_task(service: ConnectService, database: Database) -> None:
    assert accept(service, make_tenant(database)).task_id != accept(service, make_tenant(database)).task_id


def test_a_patient_caller_gets_more_attempts(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    waited_for, polled = accept(service, tenant), accept(service, tenant, wait=0, identifier="bob.test")

    attempts = [service.task(tenant.caller, one.task_id).max_attempts for one in (waited_for, polled)]
    assert attempts[0] < attempts[1]


def profile_issue(service: ConnectService, tenant: Tenant, **command: Any) -> str:
    with pytest.raises(ValidationFailed) as caught:
        accept(service, tenant, **command)
    (issue,) = caught.value.issues
    assert issue.field == "profile_id"
    return issue.code


def test_a_profile_must_be_named_when_there_are_several(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database, profiles=2)

    assert profile_issue(service, tenant) == "required"
    named = accept(service, tenant, profile_id=tenant.profile_ids[1])
    assert service.task(tenant.caller, named.task_id).profile_id == tenant.profile_ids[1]


def test_a_workspace_without_a_profile_connects_nothing(service: ConnectService, database: Database) -> None:
    assert profile_issue(service, make_tenant(database, profiles=0)) == "no_profile"


def test_a_foreign_profile_is_as_unknown_as_one_that_does_not_exist(
    service: ConnectService, database: Database
) -> None:
    foreign = make_tenant(database)

    assert profile_issue(service, make_tenant(database), profile_id=foreign.profile_ids[0]) == "unknown_profile"
    assert profile_issue(service, make_tenant(database), profile_id="pr_nowhere") == "unknown_profile"


def test_another_workspaces_task_does_not_exist(service: ConnectService, database: Database) -> None:
    accepted = accept(service, make_tenant(database))

    with pytest.raises(NotFound):
        service.task(make_tenant(database).caller, accepted.task_id)


@pytest.mark.parametrize("task_id", ["ct_nowhere", "", "ct_\0", "'; --", "é" * 99])
def test_what_is_no_task_is_not_found(service: ConnectService, database: Database, task_id: str) -> None:
    with pytest.raises(NotFound):
        service.task(make_tenant(database).caller, task_id)


def test_a_key_names_its_workspace(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)

    assert service.authenticate(tenant.key).workspace_id == tenant.workspace_id
    assert service.authenticate(tenant.key).workspace_id == tenant.workspace_id  # from the cache


def test_a_key_has_the_scopes_that_it_was_made_with(service: ConnectService, database: Database) -> None:
    with_none, with_one = make_tenant(database), make_tenant(database, scopes="sessions")

    assert service.authenticate(with_none.key).scopes == frozenset()
    assert service.authenticate(with_one.key).scopes == {Scope.SESSIONS}


def test_keys_that_do_not_work(service: ConnectService, database: Database) -> None:
    tenant, expired, revoked = make_tenant(database), make_tenant(database, key_expires_in=-1), make_tenant(database)
    with database.write() as connection:
        assert workspaces.revoke_api_key(connection, revoked.key_prefix)
    same_prefix = tenant.key[:-1] + ("a" if tenant.key[-1] != "a" else "b")

    for key in ("", "nonsense", "up_live_short", same_prefix, expired.key, revoked.key, tenant.key + " "):
        with pytest.raises(Unauthorized):
            service.authenticate(key)


def test_a_database_that_is_away_is_one_clear_error(worker_keys: WorkerKeys, settings: Settings) -> None:
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
    service = ConnectService(away, Sealer(worker_keys.for_shim()), settings)

    with pytest.raises(ServiceUnavailable):
        service.ping()


def let_expire(database: Database, task_id: str) -> None:
    with database.write() as connection:
        change = update(connect_tasks).where(connect_tasks.c.id == task_id)
        connection.execute(change.values(expires_at=from_now(-1)))


def test_a_request_does_not_join_a_task_whose_time_is_over(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    old = accept(service, tenant)
    let_expire(database, old.task_id)
    new = accept(service, tenant)

    assert new.is_new
    assert new.task_id != old.task_id
    assert service.task(tenant.caller, old.task_id).status is TaskStatus.EXPIRED


def test_who_joins_to_poll_makes_the_task_patient(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    waited_for = accept(service, tenant)
    joined = accept(service, tenant, wait=0)

    assert (joined.task_id, joined.is_new) == (waited_for.task_id, False)
    with database.read() as connection:
        row = connection.execute(select(connect_tasks)).one()
    assert row.caller_waits_until is None
    assert row.max_attempts == 12
    assert (row.expires_at - row.created_at).total_seconds() > 3000


def test_the_last_use_of_a_key_is_noted_once_a_minute(
    database: Database, worker_keys: WorkerKeys, settings: Settings
) -> None:
    tenant = make_tenant(database)

    def use() -> datetime | None:
        """By an API process that has not seen the key before."""
        ConnectService(database, Sealer(worker_keys.for_shim()), settings).authenticate(tenant.key)
        with database.read() as connection:
            return workspaces.api_keys_of(connection, tenant.workspace_id)[0].last_used_at

    first = use()
    assert first is not None
    assert use() == first

    with database.write() as connection:
        connection.execute(update(api_keys).values(last_used_at=from_now(-61)))
    later = use()
    assert later is not None
    assert later >= first


def test_a_key_works_although_its_use_cannot_be_noted(
    database: Database, worker_keys: WorkerKeys, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(database)
    service = ConnectService(database, Sealer(worker_keys.for_shim()), settings)
    monkeypatch.setattr(database, "write", unavailable)

    assert service.authenticate(tenant.key).workspace_id == tenant.workspace_id


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    raise ServiceUnavailable
    yield


def waits_until(database: Database) -> datetime | None:
    with database.read() as connection:
        return connection.execute(select(connect_tasks.c.caller_waits_until)).scalar()


def test_who_joins_and_waits_is_waited_for(service: ConnectService, database: Database) -> None:
    """After a 504 the same request comes again, and a rate limit that outlasts it is told it at once."""
    tenant = make_tenant(database)
    accept(service, tenant, wait=1)
    first = waits_until(database)
    accept(service, tenant, wait=25)
    second = waits_until(database)
    accept(service, tenant, wait=1)

    assert first is not None
    assert second is not None
    assert second > first
    assert waits_until(database) == second


def test_who_joins_a_task_that_is_polled_does_not_hurry_it(service: ConnectService, database: Database) -> None:
    tenant = make_tenant(database)
    accept(service, tenant, wait=0)
    accept(service, tenant, wait=25)

    assert waits_until(database) is None


def test_requests_that_come_at_once_are_each_answered_for_themselves(
    service: ConnectService, database: Database
) -> None:
    """New ones, identical ones, and ones that are wrong."""
    tenant, other = make_tenant(database), make_tenant(database)
    wanted: list[dict[str, Any]] = [
        *({"identifier": f"person{number}.test"} for number in range(10)),
        *({"identifier": "twin.test"} for _ in range(10)),
        *({"identifier": f"lost{number}.test", "profile_id": other.profile_ids[0]} for number in range(10)),
    ]

    def ask(command: dict[str, Any]) -> Accepted | ValidationFailed:
        try:
            return accept(service, tenant, **command)
        except ValidationFailed as error:
            return error

    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(ask, wanted))

    people, twins, lost = answers[:10], answers[10:20], answers[20:]
    assert len({one.task_id for one in people if isinstance(one, Accepted) and one.is_new}) == 10
    assert [one.is_new for one in twins if isinstance(one, Accepted)].count(True) == 1
    assert len({one.task_id for one in twins if isinstance(one, Accepted)}) == 1
    assert all(isinstance(one, ValidationFailed) for one in lost)
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(connect_tasks)).scalar_one() == 11
