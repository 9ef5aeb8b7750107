"""Links to the hosted form, from their making to their account, on SQLite and on Postgres."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from connections.connect_sessions.intake import SessionCommand
from connections.connect_sessions.service import ConnectSessions, MadeSession, Step, Visit
from connections.contract import ConnectSessionStatus
from connections.db import Database
from connections.errors import CredentialsRejected, NotFound, ValidationFailed
from connections.ids import new_id
from connections.models import accounts, audit_log, connect_sessions, workspaces
from connections.outcome import Outcome
from connections.repository.connect_sessions import MAX_ATTEMPTS
from connections.repository.retention import delete_batch, retentions
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from tests.factories import Tenant, connect_command, make_tenant, verified

COMMAND = SessionCommand("bluesky", "user-42", external_user_email="alice@example.com")


@pytest.fixture
def sessions(database: Database, worker_keys: WorkerKeys) -> ConnectSessions:
    return ConnectSessions(database, Sealer(worker_keys.for_shim()))


@pytest.fixture
def service(database: Database, worker_keys: WorkerKeys, settings: Settings) -> ConnectService:
    return ConnectService(database, Sealer(worker_keys.for_shim()), settings)


@pytest.fixture
def settlement(database: Database, worker_keys: WorkerKeys) -> Settlement:
    return Settlement(database, Opener(worker_keys), TokenCipher(worker_keys), lease_seconds=60)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


def visited(sessions: ConnectSessions, made: MadeSession) -> Visit:
    visit = sessions.visit(made.token)
    assert visit is not None
    return visit


def try_once(sessions: ConnectSessions, service: ConnectService, made: MadeSession, password: str = "correct") -> str:
    """The task of one try, as the form stores it."""
    visit, task_id = visited(sessions, made), new_id("ct")
    assert sessions.begin(visit, task_id)
    command = replace(
        connect_command(password=password, profile_id=visit.session.profile_id), connect_session_id=visit.session.id
    )
    service.accept(visit.caller, command, request_id="req_1", reply_to="shim_1", wait=10, task_id=task_id)
    return task_id


def test_a_link_from_its_making_to_its_account(
    sessions: ConnectSessions, service: ConnectService, settlement: Settlement, tenant: Tenant, database: Database
) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    assert visited(sessions, made).step is Step.FORM

    failed = settlement.claim(try_once(sessions, service, made, "wrong"))
    assert failed is not None
    assert visited(sessions, made).step is Step.WORKING
    settlement.fail(failed, Outcome.of_error(CredentialsRejected().describe()))
    after = visited(sessions, made)
    assert (after.step, after.session.attempts) == (Step.FORM, 1)
    assert after.task is not None
    assert Outcome.from_row(after.task.outcome).cause == "unauthorized"

    task = settlement.claim(try_once(sessions, service, made))
    assert task is not None
    assert settlement.succeed(task, verified())

    row = sessions.get(tenant.caller, made.row.id)
    with database.read() as connection:
        (account,) = connection.execute(select(accounts))
        actors = {(entry.action, entry.actor) for entry in connection.execute(select(audit_log))}
    end = visited(sessions, made)
    assert (end.step, end.session.account_name) == (Step.CONNECTED, "alice.test")
    assert (row.status, row.account_id) == (ConnectSessionStatus.COMPLETED, account.id)
    assert (account.connection_type, account.profile_id) == ("managed", tenant.profile_ids[0])
    assert (account.external_user_id, account.external_user_email) == ("user-42", "alice@example.com")
    assert actors == {("connect_session.create", tenant.caller.key_id), ("account.connect", made.row.id)}
    assert not sessions.begin(end, new_id("ct"))


def test_ten_tries_and_no_more(sessions: ConnectSessions, tenant: Tenant) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")

    counted = [sessions.begin(visited(sessions, made), f"ct_{number}") for number in range(MAX_ATTEMPTS + 2)]

    assert counted == [True] * MAX_ATTEMPTS + [False] * 2
    assert visited(sessions, made).step is Step.USED_UP
    assert sessions.get(tenant.caller, made.row.id).status is ConnectSessionStatus.EXPIRED


def test_of_tries_that_come_at_once_one_begins(sessions: ConnectSessions, tenant: Tenant) -> None:
    """Of one link in two windows, or of two clicks: each would connect an account."""
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    visit = visited(sessions, made)

    with ThreadPoolExecutor(8) as threads:
        counted = list(threads.map(lambda number: sessions.begin(visit, f"ct_{number}"), range(8)))

    assert sum(counted) == 1
    assert visited(sessions, made).session.attempts == 1


def test_after_an_hour_it_is_over(sessions: ConnectSessions, tenant: Tenant, database: Database) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    assert (made.row.expires_at - made.row.created_at).total_seconds() == pytest.approx(3600, abs=1)
    with database.write() as connection:
        connection.execute(update(connect_sessions).values(expires_at=from_now(-0.1)))

    visit = visited(sessions, made)

    assert visit.step is Step.EXPIRED
    assert not sessions.begin(visit, new_id("ct"))
    assert sessions.get(tenant.caller, made.row.id).status is ConnectSessionStatus.EXPIRED


def test_a_try_that_joins_another_ones_task_follows_it(
    sessions: ConnectSessions, service: ConnectService, tenant: Tenant
) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    task_id = try_once(sessions, service, made)
    assert sessions.begin(visited(sessions, made), new_id("ct"))
    assert visited(sessions, made).step is Step.FORM

    sessions.follow(visited(sessions, made), task_id)

    assert visited(sessions, made).step is Step.WORKING


def test_a_return_url_must_be_one_of_the_workspaces(
    sessions: ConnectSessions, tenant: Tenant, database: Database
) -> None:
    command = replace(COMMAND, return_url="https://app.example.com/back?x=1")
    with pytest.raises(ValidationFailed) as caught:
        sessions.create(tenant.caller, command, request_id="req_1")
    with database.write() as connection:
        change = update(workspaces).where(workspaces.c.id == tenant.workspace_id)
        connection.execute(change.values(return_urls=["https://app.example.com/back"]))

    made = sessions.create(tenant.caller, command, request_id="req_1")

    assert [issue.code for issue in caught.value.issues] == ["not_allowed"]
    assert made.row.return_url == visited(sessions, made).session.return_url == command.return_url


def test_a_link_belongs_to_its_workspace(sessions: ConnectSessions, tenant: Tenant, database: Database) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")

    with pytest.raises(NotFound):
        sessions.get(make_tenant(database).caller, made.row.id)


def test_another_token_leads_nowhere(sessions: ConnectSessions, tenant: Tenant) -> None:
    made = sessions.create(tenant.caller, COMMAND, request_id="req_1")

    other = made.token[:-1] + ("A" if made.token[-1] != "A" else "B")
    assert [sessions.visit(token) for token in (other, made.row.id, "")] == [None, None, None]


def test_it_is_deleted_when_its_tasks_are(sessions: ConnectSessions, tenant: Tenant, database: Database) -> None:
    young = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    old = sessions.create(tenant.caller, COMMAND, request_id="req_1")
    with database.write() as connection:
        change = update(connect_sessions).where(connect_sessions.c.id == old.row.id)
        connection.execute(change.values(expires_at=from_now(-101)))
        for retention in retentions(task_seconds=100, audit_seconds=90 * 86400.0):
            delete_batch(connection, retention, limit=10)

    assert visited(sessions, young).step is Step.FORM
    assert sessions.visit(old.token) is None
