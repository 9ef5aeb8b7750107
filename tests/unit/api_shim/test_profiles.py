"""`/v1/profiles` and `/v1/workspace`."""

from typing import Any

import httpx
import pytest

from connections.contract import ProfileAnswer, ProfilesAnswer, WorkspaceAnswer
from tests.account_rows import audited, insert_account
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of

PROFILES = "/v1/profiles"


async def send(api: Api, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    return await api.client.request(method, path, json=body, headers=api.key | headers)


def profile_in(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    ProfileAnswer.model_validate(answer.json(), extra="forbid")
    data: dict[str, Any] = answer.json()["data"]
    return data


def workspace_in(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    WorkspaceAnswer.model_validate(answer.json(), extra="forbid")
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_profile_from_its_making_to_its_end(api: Api) -> None:
    made = await send(
        api, "POST", PROFILES, {"name": "Brand", "branding_primary_color": "#0a7cff"}, **{"X-Request-Id": "req_made"}
    )
    profile = profile_in(made, 201)
    path = f"{PROFILES}/{profile['id']}"
    assert made.headers["location"] == path
    assert (profile["name"], profile["account_count"]) == ("Brand", 0)

    assert profile_in(await api.get(path)) == profile
    changed = profile_in(await send(api, "PATCH", path, {"name": "Other", "branding_primary_color": None}))
    assert (changed["name"], changed["branding_primary_color"]) == ("Other", None)

    deleted = await send(api, "DELETE", path)
    assert (deleted.status_code, deleted.content, "content-length" in deleted.headers) == (204, b"", False)
    error_of(await api.get(path), 404)
    assert audited(api.database, api.tenant)[0][::3] == ("profile.create", "req_made")


async def test_profiles_are_listed_by_page(api: Api) -> None:
    made = [profile_in(await send(api, "POST", PROFILES, {"name": name}), 201)["id"] for name in ("A", "B")]
    insert_account(api.database, api.tenant)

    answer = await api.get(PROFILES)
    ProfilesAnswer.model_validate(answer.json(), extra="forbid")
    body = answer.json()
    assert [profile["id"] for profile in body["data"]] == [*sorted(made, reverse=True), *api.tenant.profile_ids]
    assert [profile["account_count"] for profile in body["data"]] == [0, 0, 1]
    assert body["meta"] == {"limit": 1000, "next_cursor": None, "has_more": False}

    first = (await api.get(f"{PROFILES}?limit=2")).json()
    assert first["meta"]["has_more"] is True
    rest = (await api.get(f"{PROFILES}?limit=2&cursor={first['meta']['next_cursor']}")).json()
    assert first["data"] + rest["data"] == body["data"]
    error_of(await api.get(f"{PROFILES}?cursor=x"), 422)


async def test_a_name_that_is_taken(api: Api) -> None:
    error = error_of(await send(api, "POST", PROFILES, {"name": "Default"}), 409)

    assert (error["code"], error["details"]) == ("PROFILE_NAME_TAKEN", {"profile_id": api.tenant.profile_ids[0]})


async def test_a_profile_in_use(api: Api) -> None:
    await api.connect("respond-async")

    error = error_of(await send(api, "DELETE", f"{PROFILES}/{api.tenant.profile_ids[0]}"), 409)

    assert (error["code"], error["details"]) == ("PROFILE_IN_USE", {"accounts": 0, "unfinished_tasks": 1})


async def test_one_issue_a_field(api: Api) -> None:
    bad = {"name": 7, "branding_logo_url": "http://a.test", "branding_primary_color": "red"}

    for method, path in (("POST", PROFILES), ("PATCH", f"{PROFILES}/{api.tenant.profile_ids[0]}")):
        error = error_of(await send(api, method, path, bad), 422)
        assert [issue["field"] for issue in error["issues"]] == [*bad]
    assert error_of(await send(api, "POST", PROFILES, {}), 422)["message"] == "name is required."


async def test_a_profile_that_is_not_the_callers_is_not_there(api: Api) -> None:
    foreign = make_tenant(api.database).profile_ids[0]

    for profile_id in (foreign, "pr_nobody", "%00"):
        for method, body in (("GET", None), ("PATCH", {"name": "Mine"}), ("DELETE", None)):
            error_of(await send(api, method, f"{PROFILES}/{profile_id}", body), 404)


async def test_the_workspace(api: Api) -> None:
    before = workspace_in(await api.get("/v1/workspace"))
    assert (before["id"], before["return_urls"]) == (api.tenant.workspace_id, [])
    assert before["usage_modes"] == ["connect"]

    sent = {"name": "Acme Ltd", "return_urls": ["http://localhost:3000/done"]}
    changed = workspace_in(await send(api, "PATCH", "/v1/workspace", sent))

    assert {name: changed[name] for name in sent} == sent
    assert workspace_in(await api.get("/v1/workspace")) == changed
    error = error_of(await send(api, "PATCH", "/v1/workspace", {"return_urls": ["http://acme.test/"]}), 422)
    assert [issue["field"] for issue in error["issues"]] == ["return_urls.0"]


async def test_no_return_url_without_tls_in_production(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(api.shim.settings), "is_production", True)

    error_of(await send(api, "PATCH", "/v1/workspace", {"return_urls": ["http://localhost:3000/done"]}), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PROFILES),
        ("POST", PROFILES),
        ("GET", f"{PROFILES}/pr_1"),
        ("PATCH", f"{PROFILES}/pr_1"),
        ("DELETE", f"{PROFILES}/pr_1"),
        ("GET", "/v1/workspace"),
        ("PATCH", "/v1/workspace"),
    ],
)
async def test_a_key_is_needed(api: Api, method: str, path: str) -> None:
    error_of(await api.client.request(method, path), 401)


@pytest.mark.parametrize(("method", "path"), [("POST", PROFILES), ("PATCH", "/v1/workspace")])
async def test_bodies_are_json_and_not_endless(api: Api, method: str, path: str) -> None:
    error_of(await send(api, method, path, {"name": "a" * 200_000}), 413)
    text = await api.client.request(method, path, content=b"name", headers=api.key | {"Content-Type": "text/plain"})
    error_of(text, 415)
