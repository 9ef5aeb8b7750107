"""Accounts listed by page and filter, looked up, and how their connections stand, on SQLite and on Postgres."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connections.account_reading import Accounts
from connections.contract import AccountStatus
from connections.db import Database
from connections.errors import NotFound, UpstreamFailed, ValidationFailed
from connections.repository.account_pages import AccountFilter
from tests.account_rows import insert_account
from tests.factories import Tenant, make_tenant

S = AccountStatus
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def tenant(database: Database) -> Tenant:
    return make_tenant(database, profiles=2)


def ids(database: Database, tenant: Tenant, limit: int = 100, before: str | None = None, **wanted: Any) -> list[str]:
    page = Accounts(database).page(tenant.caller, AccountFilter(**wanted), before=before, limit=limit)
    return [account.id for account in page.rows]


def test_the_latest_come_first_and_pages_leave_none_out(database: Database, tenant: Tenant) -> None:
    read = Accounts(database)
    stored = [insert_account(database, tenant, id=f"sa_{n:03}") for n in range(25)]
    insert_account(database, make_tenant(database))
    seen: list[str] = []
    has_more = True
    while has_more:
        page = read.page(tenant.caller, AccountFilter(), before=seen[-1] if seen else None, limit=10)
        seen += [account.id for account in page.rows]
        has_more = page.has_more
        insert_account(database, tenant, id=f"sa_9{len(seen)}")  # moves no later page

    assert seen == stored[::-1]


def test_a_full_page_is_the_last_one_when_nothing_follows(database: Database, tenant: Tenant) -> None:
    for _ in range(10):
        insert_account(database, tenant)

    page = Accounts(database).page(tenant.caller, AccountFilter(), limit=10)

    assert (len(page.rows), page.has_more) == (10, False)


def test_filters_alone_and_together(database: Database, tenant: Tenant) -> None:
    stored = {
        (profile_id, status, user): insert_account(
            database, tenant, profile_id=profile_id, status=status, external_user_id=user
        )
        for profile_id in tenant.profile_ids
        for status in S
        for user in (None, "user 1")
    }
    first, second = tenant.profile_ids
    for profile in (None, first, second):
        for status in (None, *S):
            for user in (None, "user 1"):
                expected = {
                    account_id
                    for (of_profile, of_status, of_user), account_id in stored.items()
                    if profile in {None, of_profile} and status in {None, of_status} and user in {None, of_user}
                }
                wanted = {"profile_id": profile, "status": status, "external_user_id": user, "platform": "bluesky"}
                found = ids(database, tenant, **wanted)
                assert found == sorted(expected, reverse=True)
                assert ids(database, tenant, before=found[0], **wanted) == found[1:]

    assert ids(database, tenant, platform="linkedin") == []
    assert ids(database, tenant, external_user_id="user 2") == []


def test_a_profile_that_is_not_the_callers_is_no_filter(database: Database, tenant: Tenant) -> None:
    foreign = make_tenant(database).profile_ids[0]
    for profile_id in (foreign, "pr_nobody", "pr_\0"):
        with pytest.raises(ValidationFailed) as caught:
            ids(database, tenant, profile_id=profile_id)
        assert [(issue.field, issue.code) for issue in caught.value.issues] == [("profile_id", "unknown_profile")]


def test_an_account_of_another_workspace_is_not_there(database: Database, tenant: Tenant) -> None:
    read, foreign = Accounts(database), insert_account(database, make_tenant(database))
    for account_id in (foreign, "sa_nobody", "sa_\0", ""):
        with pytest.raises(NotFound):
            read.get(tenant.caller, account_id)
        with pytest.raises(NotFound):
            read.health(tenant.caller, account_id)


def test_an_account_says_whose_it_is(database: Database, tenant: Tenant) -> None:
    account_id = insert_account(
        database, tenant, external_user_id="user 1", external_user_email="user@acme.test", display_name="Alice"
    )

    account = Accounts(database).get(tenant.caller, account_id)

    assert (account.profile_id, account.profile_name) == (tenant.profile_ids[0], "Default")
    assert (account.external_user_id, account.external_user_email) == ("user 1", "user@acme.test")
    assert (account.display_name, account.external_account_id) == ("Alice", f"did:plc:{account_id}")


def test_the_health_of_an_account_that_is_kept_alive(database: Database, tenant: Tenant) -> None:
    error = UpstreamFailed().describe()
    account_id = insert_account(
        database,
        tenant,
        refreshed_at=NOW,
        access_expires_at=NOW + 2 * HOUR,
        refresh_at=NOW + 400 * 24 * HOUR,
        refresh_failures=2,
        last_error=error.model_dump(mode="json"),
        last_error_at=NOW + HOUR,
    )

    health = Accounts(database).health(tenant.caller, account_id)

    assert (health.social_account_id, health.platform, health.status) == (account_id, "bluesky", S.ACTIVE)
    assert (health.last_refreshed_at, health.token_expires_at) == (NOW, NOW + 2 * HOUR)
    assert (health.next_refresh_at, health.refresh_failures) == (NOW + 400 * 24 * HOUR, 2)
    assert health.last_error is not None
    assert (health.last_error.code, health.last_error.message) == (error.code, error.message)
    assert health.last_error.at == NOW + HOUR
    assert health.last_successful_post_at is None


def test_what_an_older_version_connected_is_healthy_since_then(database: Database, tenant: Tenant) -> None:
    read, account_id = Accounts(database), insert_account(database, tenant)
    connected_at = read.get(tenant.caller, account_id).connected_at

    health = read.health(tenant.caller, account_id)

    assert (health.status_since, health.status_cause, health.last_error) == (connected_at, None, None)
    assert (health.token_expires_at, health.last_refreshed_at) == (None, None)
    assert health.next_refresh_at == connected_at  # due ever since


@pytest.mark.parametrize("status", [S.RECONNECT_REQUIRED, S.DISCONNECTED])
def test_who_is_not_kept_alive_is_due_for_no_refresh(database: Database, tenant: Tenant, status: S) -> None:
    account_id = insert_account(
        database,
        tenant,
        status=status,
        status_since=NOW,
        status_cause="session_refused",
        access_expires_at=NOW,
        refresh_at=NOW + HOUR,
        refresh_token=None if status is S.DISCONNECTED else b"key1.refresh",
    )

    health = Accounts(database).health(tenant.caller, account_id)

    assert (health.status, health.status_since, health.status_cause) == (status, NOW, "session_refused")
    assert health.next_refresh_at is None
    assert health.token_expires_at == (None if status is S.DISCONNECTED else NOW)
