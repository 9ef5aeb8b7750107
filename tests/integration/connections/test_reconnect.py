"""Accounts that get a new session in place, on both databases; and who is told of what a task has ended with."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from connections import storing
from connections.contract import AccountStatus, ConnectionType, rfc3339
from connections.db import Database
from connections.disconnecting import Disconnecting
from connections.errors import (
    AlreadyConnected,
    AnotherAccount,
    NotFound,
    ServiceUnavailable,
    UpstreamFailed,
    ValidationFailed,
)
from connections.models import (
    accounts,
    audit_log,
    connect_sessions,
    profiles,
    retired_sessions,
    webhook_deliveries,
    webhooks,
)
from connections.outcome import Outcome
from connections.repository.attempts import ClaimedTask
from connections.service import ConnectService
from connections.settings import Settings
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Cell, Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import Session
from tests.factories import Tenant, connect_command, make_tenant, verified

NEW = Session("access-canary-2", "refresh-canary-2")


class Desk:
    """A service, a worker's settlement, and a look into the tables."""

    def __init__(self, database: Database, keys: WorkerKeys, settings: Settings) -> None:
        self.database = database
        self.cipher = TokenCipher(keys)
        self.service = ConnectService(database, Sealer(keys.for_shim()), settings)
        self.settlement = Settlement(
            database, Opener(keys), self.cipher, lease_seconds=30, refresh_in=lambda _: 50_000.0
        )
        self.tenant = make_tenant(database)

    def claim(self, tenant: Tenant | None = None, **about: str | None) -> ClaimedTask:
        command = replace(connect_command(password=f"pass {about}"), **about)  # type: ignore[arg-type]
        caller = (tenant or self.tenant).caller
        accepted = self.service.accept(caller, command, request_id="req_1", reply_to="shim_1", wait=25)
        task = self.settlement.claim(accepted.task_id)
        assert task is not None
        return task

    def connect(self, external_id: str = "did:plc:alice") -> str:
        task = self.claim()
        assert self.settlement.succeed(task, verified(external_id))
        account = Outcome.from_row(self.service.task(self.tenant.caller, task.id).outcome).account
        assert account is not None
        return account.id

    def change(self, account_id: str, **values: Any) -> None:
        with self.database.write() as connection:
            connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))

    def rows(self, table: Any) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(select(table)))

    def account(self, account_id: str) -> Any:
        [row] = [row for row in self.rows(accounts) if row.id == account_id]
        return row


@pytest.fixture
def desk(database: Database, worker_keys: WorkerKeys, settings: Settings) -> Desk:
    return Desk(database, worker_keys, settings)


@pytest.mark.parametrize("status", AccountStatus)
def test_an_account_keeps_its_id_and_profile_and_gets_the_new_session(desk: Desk, status: AccountStatus) -> None:
    account_id = desk.connect()
    desk.change(account_id, status=status, status_cause="session_ended", refresh_failures=3, last_error={"code": "X"})
    before = desk.account(account_id)
    task = desk.claim(account_id=account_id)
    moved = replace(verified(name="alice-2.test"), host="https://new.test", session=NEW)

    assert desk.settlement.succeed(task, moved)
    after = desk.account(account_id)
    assert (after.status, after.status_cause, after.refresh_failures, after.last_error) == ("active", None, 0, None)
    assert (after.account_name, after.host) == ("alice-2.test", "https://new.test")
    assert (after.profile_id, after.connected_at) == (before.profile_id, before.connected_at)
    assert after.refresh_fence > before.refresh_fence
    assert after.refresh_fence % 2 == 0  # no worker has it
    assert after.refresh_at > after.refreshed_at
    assert desk.cipher.decrypt(after.refresh_token, Cell(account_id, "refresh_token")) == NEW.refresh_token
    outcome = Outcome.from_row(desk.service.task(desk.tenant.caller, task.id).outcome).account
    assert outcome is not None
    assert (outcome.id, outcome.account_name) == (account_id, "alice-2.test")
    assert rfc3339(outcome.connected_at) == rfc3339(before.connected_at)
    [retired] = desk.rows(retired_sessions)
    assert (retired.host, retired.refresh_token) == (before.host, before.refresh_token)
    assert retired.end_at is not None


def test_another_accounts_credentials_change_nothing(desk: Desk) -> None:
    account_id = desk.connect()
    before = desk.account(account_id)
    task = desk.claim(account_id=account_id)

    with pytest.raises(AnotherAccount):
        desk.settlement.refuse_another(task, "did:plc:bob")
    with pytest.raises(AnotherAccount):
        desk.settlement.succeed(task, verified("did:plc:bob", "bob.test"))
    desk.settlement.refuse_another(task, "did:plc:alice")
    assert desk.account(account_id) == before
    assert desk.rows(retired_sessions) == []


def test_an_account_that_was_connected_anew_is_named(desk: Desk) -> None:
    account_id = desk.connect()
    desk.change(account_id, status=AccountStatus.DISCONNECTED)
    new_id = desk.connect()

    with pytest.raises(AlreadyConnected) as refused:
        desk.settlement.succeed(desk.claim(account_id=account_id), verified())

    assert refused.value.details == {"account_id": new_id}
    assert desk.account(account_id).status == "disconnected"


def test_stored_again_after_a_lost_confirmation_it_is_the_same(desk: Desk) -> None:
    account_id = desk.connect()
    task = desk.claim(account_id=account_id)

    assert desk.settlement.succeed(task, replace(verified(), session=NEW))
    after = desk.account(account_id)
    assert desk.settlement.succeed(task, replace(verified(), session=NEW))
    assert desk.account(account_id) == after
    assert len(desk.rows(retired_sessions)) == 1


def test_a_worker_that_lost_its_lease_reconnects_nothing(desk: Desk) -> None:
    account_id = desk.connect()
    before = desk.account(account_id)
    slow = desk.claim(account_id=account_id)
    desk.settlement.release()
    assert desk.settlement.claim(slow.id) is not None

    assert not desk.settlement.succeed(slow, replace(verified(), session=NEW))
    assert desk.account(account_id) == before
    assert desk.rows(retired_sessions) == []


def test_what_cannot_be_reconnected_is_refused_at_acceptance(desk: Desk) -> None:
    account_id = desk.connect()
    stranger = make_tenant(desk.database)

    for tenant, about in ((desk.tenant, {"account_id": "sa_unknown"}), (stranger, {"account_id": account_id})):
        with pytest.raises(NotFound):
            desk.claim(tenant, **about)
    desk.change(account_id, platform="elsewhere")
    with pytest.raises(ValidationFailed) as refused:
        desk.claim(account_id=account_id)
    assert [issue.code for issue in refused.value.issues] == ["another_platform"]


def test_a_connect_and_a_reconnect_with_the_same_credentials_are_two_tasks(desk: Desk) -> None:
    account_id = desk.connect()
    caller, command = desk.tenant.caller, connect_command()

    ids = {
        desk.service.accept(caller, one, request_id="req_1", reply_to="shim_1", wait=25).task_id
        for one in (command, replace(command, account_id=account_id), replace(command, account_id=account_id))
    }
    assert len(ids) == 2


def entry(row: Any) -> tuple[Any, ...]:
    return (row.actor, row.action, row.outcome, row.account_id, row.cause, row.request_id)


def test_every_end_of_a_task_is_in_the_audit_log(desk: Desk) -> None:
    account_id = desk.connect()
    desk.settlement.succeed(desk.claim(account_id=account_id), verified())
    desk.settlement.fail(desk.claim(), Outcome.of_error(UpstreamFailed().describe()))
    desk.settlement.fail(desk.claim(account_id=account_id), Outcome.of_error(AnotherAccount().describe()))
    desk.settlement.expire(desk.claim(connect_session_id="cs_1"))

    assert [entry(row) for row in sorted(desk.rows(audit_log), key=lambda row: row.at)] == [
        ("key", "account.connect", "succeeded", account_id, None, "req_1"),
        ("key", "account.reconnect", "succeeded", account_id, None, "req_1"),
        ("key", "account.connect", "failed", None, "upstream_error", "req_1"),
        ("key", "account.reconnect", "failed", account_id, "account_mismatch", "req_1"),
        ("cs_1", "account.connect", "failed", None, "connect_timeout", "req_1"),
    ]


def test_whoever_listens_has_word_of_each_account(desk: Desk) -> None:
    hook = {
        "workspace_id": desk.tenant.workspace_id,
        "name": "hook",
        "url": "https://receiver.test",
        "active": True,
        "sealed_secret": b"key1.x",
        "sealing_key": "key1",
        "secret_preview": "whsec_",
        "created_at": from_now(),
        "updated_at": from_now(),
    }
    with desk.database.write() as connection:
        for name, events in (("wh_1", ["account.connected"]), ("wh_2", ["batch.finished"])):
            connection.execute(insert(webhooks).values(id=name, events=events, **hook))

    account_id = desk.connect()
    desk.settlement.succeed(desk.claim(account_id=account_id), replace(verified(), session=NEW))

    first, second = desk.rows(webhook_deliveries)
    for row in (first, second):
        assert (row.webhook_id, row.event, row.subject) == ("wh_1", "account.connected", account_id)
        assert (row.data["id"], row.data["status"]) == (account_id, "active")
        assert "canary" not in str(row.data)
    assert first.event_id != second.event_id
    assert first.number < second.number


def add_link(desk: Desk, connect_session_id: str, user: str) -> None:
    values = {
        "id": connect_session_id,
        "workspace_id": desk.tenant.workspace_id,
        "profile_id": desk.tenant.profile_ids[0],
        "platform": "bluesky",
        "key_id": "key",
        "token_hash": hashlib.sha256(connect_session_id.encode()).digest(),
        "external_user_id": user,
        "external_user_email": f"{user}@example.com",
        "allow_quickstart_creds": False,
        "created_at": from_now(),
        "expires_at": from_now(3600),
    }
    with desk.database.write() as connection:
        connection.execute(insert(connect_sessions).values(values))


def test_an_account_that_an_end_user_connected_is_managed(desk: Desk) -> None:
    add_link(desk, "cs_1", "user_1")

    assert desk.settlement.succeed(desk.claim(connect_session_id="cs_1"), verified())

    [account] = desk.rows(accounts)
    [link] = desk.rows(connect_sessions)
    assert account.connection_type == ConnectionType.MANAGED
    assert (account.external_user_id, account.external_user_email) == ("user_1", "user_1@example.com")
    assert (link.account_id, link.completed_at is not None) == (account.id, True)
    assert [row.actor for row in desk.rows(audit_log)] == ["cs_1"]


def test_an_end_user_whose_account_lost_its_session_gets_it_back(desk: Desk) -> None:
    add_link(desk, "cs_1", "user_1")
    desk.settlement.succeed(desk.claim(connect_session_id="cs_1"), verified())
    [account] = desk.rows(accounts)
    add_link(desk, "cs_2", "user_1")
    with pytest.raises(AlreadyConnected):  # it lives
        desk.settlement.succeed(desk.claim(connect_session_id="cs_2"), verified())
    desk.change(account.id, status=AccountStatus.RECONNECT_REQUIRED)

    add_link(desk, "cs_3", "user_2")
    with pytest.raises(AlreadyConnected):  # it is somebody else's
        desk.settlement.succeed(desk.claim(connect_session_id="cs_3"), verified())
    add_link(desk, "cs_4", "user_1")
    assert desk.settlement.succeed(desk.claim(connect_session_id="cs_4"), replace(verified(), session=NEW))

    [renewed] = desk.rows(accounts)
    assert (renewed.id, renewed.status, renewed.connection_type) == (account.id, "active", "managed")
    [link] = [row for row in desk.rows(connect_sessions) if row.id == "cs_4"]
    assert link.account_id == account.id


def test_an_account_of_a_deleted_profile_is_not_brought_back(desk: Desk) -> None:
    account_id = desk.connect()
    desk.change(account_id, status=AccountStatus.DISCONNECTED)
    with desk.database.write() as connection:
        connection.execute(update(profiles).values(deleted_at=from_now()))

    with pytest.raises(ValidationFailed) as refused:
        desk.claim(account_id=account_id)
    assert [issue.code for issue in refused.value.issues] == ["unknown_profile"]


def test_an_account_that_was_disconnected_meanwhile_is_connected_anew_by_a_link(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_link(desk, "cs_1", "user_1")
    desk.settlement.succeed(desk.claim(connect_session_id="cs_1"), verified())
    [account] = desk.rows(accounts)
    desk.change(account.id, status=AccountStatus.RECONNECT_REQUIRED)
    add_link(desk, "cs_2", "user_1")
    task = desk.claim(connect_session_id="cs_2")
    look = storing.account_to_renew

    def look_and_lose(*about: Any) -> str | None:
        found = look(*about)
        desk.change(account.id, status=AccountStatus.DISCONNECTED)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(storing, "account_to_renew", look_and_lose)
        with pytest.raises(ServiceUnavailable):  # so it is stored again
            desk.settlement.succeed(task, replace(verified(), session=NEW))
    assert desk.settlement.succeed(task, replace(verified(), session=NEW))

    assert sorted((row.id == account.id, row.status) for row in desk.rows(accounts)) == [
        (False, "active"),
        (True, "disconnected"),
    ]


def test_a_disconnect_is_not_undone_by_a_reconnect_under_way(desk: Desk) -> None:
    account_id = desk.connect()
    task = desk.claim(account_id=account_id)
    Disconnecting(desk.database).disconnect(desk.tenant.caller, account_id, request_id="req_2")

    with pytest.raises(NotFound):
        desk.settlement.succeed(task, replace(verified(), session=NEW))
    assert desk.account(account_id).status == "disconnected"
    desk.settlement.fail(task, Outcome.of_error(NotFound().describe()))
    assert desk.settlement.succeed(desk.claim(account_id=account_id), replace(verified(), session=NEW))
    assert desk.account(account_id).status == "active"
