"""Profiles and workspaces as their holders keep them, on SQLite and on Postgres; also at the same time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from connections.bulk import intake
from connections.bulk.intake import BatchFormat, BatchIntake, Delivery
from connections.contract import AccountStatus, RowStatus
from connections.db import Database
from connections.errors import NotFound, ProfileInUse, ProfileNameTaken, ValidationFailed
from connections.models import connect_tasks
from connections.owners.profiles import Profiles, create_profile
from connections.owners.workspace import Workspaces
from connections.profiles import resolve_profile
from connections.repository import batch_intake, profiles, workspaces
from connections.service import ConnectService
from connections.settings import Settings
from connections.vault import Sealer, WorkerKeys
from tests.account_rows import audited, count_accounts, insert_account
from tests.batch_rows import insert_batch
from tests.factories import Tenant, connect_command, make_tenant
from tests.servers import wait_until


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database)


@pytest.fixture
def kept(database: Database) -> Profiles:
    return Profiles(database)


@pytest.fixture
def service(database: Database, worker_keys: WorkerKeys, settings: Settings) -> ConnectService:
    return ConnectService(database, Sealer(worker_keys.for_shim()), settings)


def make(kept: Profiles, tenant: Tenant, name: str = "Brand") -> str:
    return kept.create(tenant.caller, {"name": name}, request_id="req_1").id


def delete(kept: Profiles, tenant: Tenant, profile_id: str) -> None:
    kept.delete(tenant.caller, profile_id, request_id="req_9")


def accept(service: ConnectService, tenant: Tenant, profile_id: str | None) -> str:
    command = connect_command(profile_id=profile_id)
    return service.accept(tenant.caller, command, request_id="req_1", reply_to="shim_1", wait=0).task_id


def tasks_of(database: Database, profile_id: str) -> int:
    query = select(func.count()).select_from(connect_tasks).where(connect_tasks.c.profile_id == profile_id)
    with database.read() as connection:
        return connection.execute(query).scalar_one()


def test_a_profile_from_its_making_to_its_end(database: Database, tenant: Tenant, kept: Profiles) -> None:
    made = kept.create(
        tenant.caller,
        {"name": "Brand", "branding_display_name": "Acme", "branding_primary_color": "#000000"},
        request_id="req_1",
    )
    assert (made.name, made.account_count, made.workspace_id) == ("Brand", 0, tenant.workspace_id)
    assert (made.branding_display_name, made.branding_logo_url) == ("Acme", None)
    assert made.updated_at == made.created_at

    changed = kept.change(tenant.caller, made.id, {"name": "Other", "branding_display_name": None}, request_id="req_2")
    assert (changed.name, changed.branding_display_name, changed.branding_primary_color) == ("Other", None, "#000000")
    assert changed.created_at == made.created_at <= changed.updated_at
    assert kept.get(tenant.caller, made.id) == changed

    kept.delete(tenant.caller, made.id, request_id="req_3")
    with pytest.raises(NotFound):
        kept.get(tenant.caller, made.id)
    assert audited(database, tenant) == [
        ("profile.create", "key", made.id, "req_1"),
        ("profile.delete", "key", made.id, "req_3"),
        ("profile.update", "key", made.id, "req_2"),
    ]


def test_what_changes_nothing_is_not_written_down(database: Database, tenant: Tenant, kept: Profiles) -> None:
    profile_id = tenant.profile_ids[0]
    before = kept.get(tenant.caller, profile_id)

    for fields in ({}, {"name": "Default"}, {"branding_logo_url": None}):
        assert kept.change(tenant.caller, profile_id, fields, request_id="req_1") == before  # type: ignore[arg-type]

    assert audited(database, tenant) == []


def test_pages_of_profiles(tenant: Tenant, kept: Profiles) -> None:
    made = [*tenant.profile_ids, *(make(kept, tenant, f"Brand {n}") for n in range(7))]
    make(kept, tenant, "gone")
    gone = kept.page(tenant.caller, limit=1).rows[0]
    delete(kept, tenant, gone.id)
    seen: list[str] = []
    has_more = True
    while has_more:
        page = kept.page(tenant.caller, before=seen[-1] if seen else None, limit=3)
        seen += [profile.id for profile in page.rows]
        has_more = page.has_more

    assert seen == sorted(made, reverse=True)


def test_accounts_are_counted_unless_they_are_disconnected(database: Database, tenant: Tenant, kept: Profiles) -> None:
    brand = make(kept, tenant)
    for status in AccountStatus:
        insert_account(database, tenant, profile_id=brand, status=status)

    counts = {profile.id: profile.account_count for profile in kept.page(tenant.caller, limit=10).rows}

    assert counts == {brand: 2, tenant.profile_ids[0]: 0}


def test_a_name_is_taken_until_its_profile_is_deleted(database: Database, tenant: Tenant, kept: Profiles) -> None:
    first, second = make(kept, tenant, "Brand"), make(kept, tenant, "Other")
    make(kept, make_tenant(database), "Brand")

    for call in (
        lambda: make(kept, tenant, "Brand"),
        lambda: kept.change(tenant.caller, second, {"name": "Brand"}, request_id="req_1"),
    ):
        with pytest.raises(ProfileNameTaken) as caught:
            call()
        assert caught.value.details == {"profile_id": first}

    delete(kept, tenant, first)
    assert kept.change(tenant.caller, second, {"name": "Brand"}, request_id="req_1").name == "Brand"


def test_of_those_who_want_a_name_at_once_one_gets_it(tenant: Tenant, kept: Profiles) -> None:
    def want(_: int) -> bool:
        try:
            make(kept, tenant, "Brand")
        except ProfileNameTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(want, range(8))) == 1
    assert [profile.name for profile in kept.page(tenant.caller, limit=10).rows] == ["Brand", "Default"]


def test_another_workspaces_profile_is_not_there(database: Database, tenant: Tenant, kept: Profiles) -> None:
    for profile_id in (make_tenant(database).profile_ids[0], "pr_nobody", "pr_\0", ""):
        with pytest.raises(NotFound):
            kept.get(tenant.caller, profile_id)
        with pytest.raises(NotFound):
            kept.change(tenant.caller, profile_id, {"name": "Mine"}, request_id="req_1")
        with pytest.raises(NotFound):
            delete(kept, tenant, profile_id)


def test_a_profile_in_use_is_not_deleted(
    database: Database, tenant: Tenant, kept: Profiles, service: ConnectService
) -> None:
    insert_account(database, tenant)
    insert_account(database, tenant, status=AccountStatus.RECONNECT_REQUIRED)
    insert_account(database, tenant, status=AccountStatus.DISCONNECTED)
    accept(service, tenant, None)
    insert_batch(database, tenant, [RowStatus.QUEUED, RowStatus.RETRYING, RowStatus.CONNECTED])

    with pytest.raises(ProfileInUse) as caught:
        delete(kept, tenant, tenant.profile_ids[0])

    assert caught.value.details == {"accounts": 2, "unfinished_tasks": 3}
    assert audited(database, tenant) == []
    assert kept.get(tenant.caller, tenant.profile_ids[0]).account_count == 2


def test_a_profile_whose_accounts_are_gone_is_deleted_and_they_keep_its_name(
    database: Database, tenant: Tenant, kept: Profiles
) -> None:
    insert_account(database, tenant, status=AccountStatus.DISCONNECTED)
    insert_batch(database, tenant, [RowStatus.CONNECTED, RowStatus.FAILED])

    delete(kept, tenant, tenant.profile_ids[0])

    assert count_accounts(database, tenant.profile_ids[0]) == 1


def test_a_deleted_profile_is_found_nowhere(
    database: Database,
    tenant: Tenant,
    kept: Profiles,
    service: ConnectService,
    settings: Settings,
    worker_keys: WorkerKeys,
) -> None:
    gone = make(kept, tenant)
    delete(kept, tenant, gone)

    with database.write() as connection:
        assert workspaces.has_profile(connection, tenant.workspace_id, gone) is False
        assert workspaces.profile_ids(connection, tenant.workspace_id, limit=9) == [*tenant.profile_ids]
        assert [row.id for row in workspaces.profiles_of(connection, tenant.workspace_id)] == [*tenant.profile_ids]
        assert batch_intake.known_profiles(connection, tenant.workspace_id, [gone]) == set()
        assert resolve_profile(connection, tenant.workspace_id, None) == tenant.profile_ids[0]
    for call in (
        lambda: accept(service, tenant, gone),
        lambda: kept.change(tenant.caller, gone, {"name": "Back"}, request_id="req_1"),
        lambda: delete(kept, tenant, gone),
    ):
        with pytest.raises((ValidationFailed, NotFound)):
            call()
    rows = Delivery(BatchFormat.CSV, [f"handle,app_password,profile_id\na.test,canary,{gone}\n".encode()])
    accepts = BatchIntake(database, Sealer(worker_keys.for_shim()), settings)
    accepted = accepts.accept(tenant.caller, rows, request_id="req_1")
    assert [row.issues[0].code for row in accepted.batch.rejected] == ["unknown_profile"]


def test_who_deletes_waits_for_who_accepts(postgres_url: str) -> None:
    database = Database(postgres_url)
    tenant, kept = make_tenant(database), Profiles(database)
    with ThreadPoolExecutor(1) as threads:
        with database.write() as connection:
            profile_id = resolve_profile(connection, tenant.workspace_id, None)
            deleting = threads.submit(delete, kept, tenant, profile_id)
            wait_until(lambda: waiting_for_locks(database) == 1, what="the deletion to wait")
        deleting.result(timeout=30)
    database.close()


def test_who_accepts_waits_for_who_deletes(postgres_url: str, worker_keys: WorkerKeys, settings: Settings) -> None:
    database = Database(postgres_url)
    tenant = make_tenant(database, profiles=3)
    service = ConnectService(database, Sealer(worker_keys.for_shim()), settings)
    first, second, third = tenant.profile_ids
    with ThreadPoolExecutor(2) as threads:
        with database.write() as connection:
            assert profiles.lock_profile(connection, tenant.workspace_id, first)
            profiles.mark_profile_deleted(connection, first)
            named = threads.submit(accept, service, tenant, first)
            unnamed = threads.submit(accept, service, tenant, None)
            wait_until(lambda: waiting_for_locks(database) >= 1, what="the acceptance to wait")
        with pytest.raises(ValidationFailed, match="no profile with this id"):
            named.result(timeout=30)
        with pytest.raises(ValidationFailed, match="more than one profile"):  # which two others are
            unnamed.result(timeout=30)
    assert [tasks_of(database, one) for one in (first, second, third)] == [0, 0, 0]
    database.close()


def waiting_for_locks(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


def test_a_profile_is_deleted_or_takes_the_account(
    database: Database, tenant: Tenant, kept: Profiles, service: ConnectService
) -> None:
    outcomes = set()
    for number in range(12):
        profile_id = make(kept, tenant, f"Brand {number}")
        together = threading.Barrier(2)

        def accepts(profile_id: str = profile_id, together: threading.Barrier = together) -> bool:
            together.wait(30)
            try:
                accept(service, tenant, profile_id)
            except ValidationFailed:
                return False
            return True

        def deletes(profile_id: str = profile_id, together: threading.Barrier = together) -> bool:
            together.wait(30)
            try:
                delete(kept, tenant, profile_id)
            except ProfileInUse:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            accepting, deleting = threads.submit(accepts), threads.submit(deletes)
            assert accepting.result(60) is not deleting.result(60)
        assert tasks_of(database, profile_id) == accepting.result()
        outcomes.add(accepting.result())
    assert outcomes


def test_a_profile_that_goes_while_a_batch_arrives_refuses_the_batch(
    database: Database,
    tenant: Tenant,
    kept: Profiles,
    settings: Settings,
    worker_keys: WorkerKeys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intake, "_ROWS_PER_TRANSACTION", 2)
    brand = make(kept, tenant)

    def pieces() -> Iterator[bytes]:
        yield b"profile_id,handle,app_password\n"
        # The profile is looked up, and no row of it is staged: its only one so far is the other's double.
        yield f"{tenant.profile_ids[0]},first.test,canary\n{brand},first.test,canary\n".encode()
        yield f"{tenant.profile_ids[0]},second.test,canary\n{tenant.profile_ids[0]},third.test,canary\n".encode()
        delete(kept, tenant, brand)
        yield f"{brand},fourth.test,canary\n".encode()

    accepts = BatchIntake(database, Sealer(worker_keys.for_shim()), settings)
    with pytest.raises(ValidationFailed, match="no profile with this id"):
        accepts.accept(tenant.caller, Delivery(BatchFormat.CSV, pieces()), request_id="req_1")

    assert [tasks_of(database, one) for one in (brand, tenant.profile_ids[0])] == [0, 0]


def test_the_workspace_and_its_changes(database: Database, tenant: Tenant) -> None:
    kept = Workspaces(database)
    before = kept.get(tenant.caller)
    assert (before.id, before.name, before.usage_modes, before.return_urls) == (
        tenant.workspace_id,
        "Acme",
        ["connect"],
        [],
    )
    assert before.updated_at == before.created_at

    changed = kept.change(
        tenant.caller,
        {"name": "Acme Ltd", "per_account_monthly_limit": 5, "return_urls": ["https://app.acme.test/"]},
        request_id="req_1",
    )

    assert (changed.name, changed.per_account_monthly_limit) == ("Acme Ltd", 5)
    assert changed.return_urls == ["https://app.acme.test/"]
    assert kept.get(tenant.caller) == changed
    assert kept.change(tenant.caller, {"name": "Acme Ltd"}, request_id="req_2") == changed
    emptied = kept.change(tenant.caller, {"per_account_monthly_limit": None, "return_urls": []}, request_id="req_3")
    assert (emptied.per_account_monthly_limit, emptied.return_urls, emptied.name) == (None, [], "Acme Ltd")
    assert audited(database, tenant) == [
        ("workspace.update", "key", None, "req_1"),
        ("workspace.update", "key", None, "req_3"),
    ]
    assert kept.get(make_tenant(database).caller).name == "Acme"


def test_the_command_line_makes_profiles_by_the_same_rules(database: Database, tenant: Tenant) -> None:
    with database.write() as connection:
        profile_id = create_profile(connection, tenant.workspace_id, {"name": "Brand"}, actor="operator")
    with pytest.raises(ProfileNameTaken), database.write() as connection:
        create_profile(connection, tenant.workspace_id, {"name": "Brand"}, actor="operator")

    assert audited(database, tenant) == [("profile.create", "operator", profile_id, None)]
