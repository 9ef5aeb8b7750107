"""`GET /v1/accounts` and what is below it."""

from typing import Any

import pytest

from connections.contract import AccountHealthAnswer, ListedAccountAnswer, ListedAccountsAnswer
from tests.account_rows import insert_account
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of


async def listed(api: Api, query: str = "") -> dict[str, Any]:
    answer = await api.get(f"/v1/accounts{query}")
    assert answer.status_code == 200, answer.text
    ListedAccountsAnswer.model_validate(answer.json(), extra="forbid")
    body: dict[str, Any] = answer.json()
    return body


async def test_all_accounts_are_listed_those_that_are_disconnected_too(api: Api) -> None:
    stored = [insert_account(api.database, api.tenant, status=status) for status in ("active", "disconnected")]

    body = await listed(api)

    assert [account["id"] for account in body["data"]] == sorted(stored, reverse=True)
    assert body["meta"] == {"limit": 1000, "next_cursor": None, "has_more": False}
    assert [account["id"] for account in (await listed(api, "?status=active"))["data"]] == stored[:1]


async def test_pages_follow_each_other(api: Api) -> None:
    stored = sorted((insert_account(api.database, api.tenant) for _ in range(5)), reverse=True)
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        body = await listed(api, f"?limit=2{cursor}")
        seen += [account["id"] for account in body["data"]]
        cursor = f"&cursor={body['meta']['next_cursor']}"

    assert seen == stored
    assert body["meta"] == {"limit": 2, "next_cursor": None, "has_more": False}


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("limit=0", "limit", "out_of_range"),
        ("limit=1001", "limit", "out_of_range"),
        ("limit=x", "limit", "invalid_type"),
        ("cursor=x", "cursor", "invalid_type"),
        ("cursor=sa_%00", "cursor", "invalid_type"),
        ("platform=myspace", "platform", "invalid_type"),
        ("status=lost", "status", "invalid_type"),
        ("status=", "status", "invalid_type"),
        ("external_user_id=a%00", "external_user_id", "invalid_type"),
        ("external_user_id=" + "a" * 256, "external_user_id", "invalid_type"),
        ("profile_id=pr_nobody", "profile_id", "unknown_profile"),
        ("profile_id=%00", "profile_id", "unknown_profile"),
    ],
)
async def test_a_bad_filter_is_refused(api: Api, query: str, field: str, code: str) -> None:
    error = error_of(await api.get(f"/v1/accounts?{query}"), 422)

    assert [(issue["field"], issue["code"]) for issue in error["issues"]] == [(field, code)]


async def test_filters_and_platforms_that_have_no_accounts_here(api: Api) -> None:
    account_id = insert_account(api.database, api.tenant, external_user_id="user 1&2")
    profile_id = api.tenant.profile_ids[0]

    body = await listed(api, f"?platform=bluesky&profile_id={profile_id}&external_user_id=user%201%262")

    assert [account["id"] for account in body["data"]] == [account_id]
    assert (await listed(api, "?platform=linkedin"))["data"] == []


async def test_an_account(api: Api) -> None:
    account_id = insert_account(api.database, api.tenant)

    answer = await api.get(f"/v1/accounts/{account_id}")

    assert answer.status_code == 200
    ListedAccountAnswer.model_validate(answer.json(), extra="forbid")
    data = answer.json()["data"]
    assert (data["id"], data["profile_name"], data["status"]) == (account_id, "Default", "active")


async def test_its_health(api: Api) -> None:
    account_id = insert_account(api.database, api.tenant)

    answer = await api.get(f"/v1/accounts/{account_id}/health")

    assert answer.status_code == 200
    AccountHealthAnswer.model_validate(answer.json(), extra="forbid")
    data = answer.json()["data"]
    assert (data["social_account_id"], data["status"], data["refresh_failures"]) == (account_id, "active", 0)
    assert (data["last_error"], data["last_successful_post_at"]) == (None, None)


@pytest.mark.parametrize("below", ["", "/health"])
async def test_an_account_that_is_not_the_callers_is_not_there(api: Api, below: str) -> None:
    foreign = insert_account(api.database, make_tenant(api.database))

    for account_id in (foreign, "sa_nobody", "%00"):
        assert error_of(await api.get(f"/v1/accounts/{account_id}{below}"), 404)["code"] == "NOT_FOUND"


async def test_the_address_for_connects_is_no_account(api: Api) -> None:
    answer = await api.get("/v1/accounts/connect")

    error_of(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert (await api.get("/v1/accounts/connected")).status_code == 404


async def test_answers_are_counted_by_route(api: Api) -> None:
    await api.get("/v1/accounts/sa_nobody/health")

    metrics = (await api.client.get("/metrics")).text

    assert 'route="/v1/accounts/{account_id}/health",status="404"} 1.0' in metrics


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/accounts/sa_1", "/v1/accounts/sa_1/health"])
async def test_a_key_is_needed(api: Api, path: str) -> None:
    error_of(await api.client.get(path), 401)
