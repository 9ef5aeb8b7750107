"""Links to the hosted form, as the workspace that makes them sees them."""

from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.requests import Request

from api_shim.hosted.origin import public_origin
from connections.errors import BadRequest, NoHostedForm
from connections.models import audit_log, connect_sessions, workspaces
from connections.settings import Environment, Settings
from connections.sqltime import from_now
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api

SESSIONS = "/v1/connect/sessions"
BODY = {"platform": "bluesky", "external_user_id": "user-42"}


async def created(api: Api, **members: Any) -> dict[str, Any]:
    answer = await api.client.post(SESSIONS, json=BODY | members, headers=api.key)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{SESSIONS}/{answer.json()['data']['id']}"
    made: dict[str, Any] = answer.json()["data"]
    return made


def allow(api: Api, *prefixes: str) -> None:
    with api.database.write() as connection:
        connection.execute(update(workspaces).values(return_urls=list(prefixes)))


async def test_a_link_is_told_once(api: Api) -> None:
    allow(api, "https://app.example.com/")
    session = await created(
        api,
        external_user_email="alice@example.com",
        return_url="https://app.example.com/accounts?x=1",
        allow_quickstart_creds=True,
        profile_id=api.tenant.profile_ids[0],
    )
    again = (await api.get(f"{SESSIONS}/{session['id']}")).json()["data"]

    assert session["url"].startswith("http://api.test/connect/")
    assert len(session["url"].rpartition("/")[2]) == 43
    assert session | {"url": ""} == again
    assert {name: again[name] for name in ("status", "completed_at", "completed_social_account_id")} == {
        "status": "pending",
        "completed_at": None,
        "completed_social_account_id": None,
    }
    assert again["external_user_email"] == "alice@example.com"
    assert again["return_url"] == "https://app.example.com/accounts?x=1"
    assert again["allow_quickstart_creds"] is True


async def test_the_link_is_kept_as_a_hash(api: Api) -> None:
    session = await created(api)
    token = session["url"].rpartition("/")[2]

    with api.database.read() as connection:
        (row,) = connection.execute(select(connect_sessions))

    assert token not in repr(row)


async def test_who_made_it_is_in_the_audit_log(api: Api) -> None:
    session = await created(api)

    with api.database.read() as connection:
        (entry,) = connection.execute(select(audit_log))

    caller = api.shim.service.authenticate(api.tenant.key)
    assert (entry.actor, entry.action, entry.target) == (caller.key_id, "connect_session.create", session["id"])
    assert entry.workspace_id == api.tenant.workspace_id
    assert entry.request_id.startswith("req_")


@pytest.mark.parametrize("prefixes", [[], ["https://app.example.com/other"], ["https://example.com/"]])
async def test_a_return_url_must_be_allowed(api: Api, prefixes: list[str]) -> None:
    allow(api, *prefixes)

    body = BODY | {"return_url": "https://app.example.com/accounts"}
    answer = await api.client.post(SESSIONS, json=body, headers=api.key)

    assert answer.status_code == 422
    assert [(issue["field"], issue["code"]) for issue in answer.json()["error"]["issues"]] == [
        ("return_url", "not_allowed")
    ]
    with api.database.read() as connection:
        assert connection.execute(select(connect_sessions)).all() == []


async def test_the_profile_must_be_named_among_several(api: Api) -> None:
    tenant = make_tenant(api.database, profiles=2)
    key = {"Authorization": f"Bearer {tenant.key}"}

    answer = await api.client.post(SESSIONS, json=BODY, headers=key)
    foreign = await api.client.post(SESSIONS, json=BODY | {"profile_id": api.tenant.profile_ids[0]}, headers=key)
    named = await api.client.post(SESSIONS, json=BODY | {"profile_id": tenant.profile_ids[1]}, headers=key)

    assert [answer.status_code, foreign.status_code, named.status_code] == [422, 422, 201]
    assert answer.json()["error"]["issues"][0]["field"] == "profile_id"


async def test_nobody_elses_session_exists(api: Api) -> None:
    session = await created(api)
    other = {"Authorization": f"Bearer {make_tenant(api.database).key}"}

    answers = [
        await api.client.get(f"{SESSIONS}/{session['id']}", headers=other),
        await api.get(f"{SESSIONS}/cs_nothing"),
        await api.get(f"{SESSIONS}/no%20id"),
    ]

    assert {(answer.status_code, answer.json()["error"]["message"]) for answer in answers} == {
        (404, "There is no such connect session.")
    }


@pytest.mark.parametrize("change", [{"expires_at": from_now(-1)}, {"attempts": 10}])
async def test_a_link_that_is_over(api: Api, change: dict[str, Any]) -> None:
    session = await created(api)
    with api.database.write() as connection:
        connection.execute(update(connect_sessions).values(change))

    assert (await api.get(f"{SESSIONS}/{session['id']}")).json()["data"]["status"] == "expired"


def request_to(host: str | None) -> Request:
    headers = [] if host is None else [(b"host", host.encode())]
    return Request({"type": "http", "scheme": "http", "headers": headers, "path": "/", "query_string": b""})


def test_in_development_links_lead_to_where_they_were_asked_for(settings: Settings) -> None:
    assert public_origin(settings, request_to("localhost:8000")) == "http://localhost:8000"


@pytest.mark.parametrize("host", [None, "", "evil/path", "user@host", "a b", "host:99999", "host/"])
def test_a_host_that_is_none_is_not_linked_to(settings: Settings, host: str | None) -> None:
    with pytest.raises(BadRequest):
        public_origin(settings, request_to(host))


def test_in_production_only_the_setting_counts(settings: Settings) -> None:
    production = settings.model_copy(update={"env": Environment.PRODUCTION})

    with pytest.raises(NoHostedForm):
        public_origin(production, request_to("evil.example"))
    told = production.model_copy(update={"public_url": "https://connect.example.com"})
    assert public_origin(told, request_to("evil.example")) == "https://connect.example.com"


async def test_who_has_not_said_where_it_is_offers_no_form(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "is_production", True)

    answer = await api.client.post(SESSIONS, json=BODY, headers=api.key)

    error = answer.json()["error"]
    assert (answer.status_code, error["is_retriable"], error["next_action"]) == (503, False, "contact_support")
    assert "CONNECTOR_PUBLIC_URL" in error["message"]
