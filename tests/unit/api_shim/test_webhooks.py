"""Webhooks by the API: what is kept, what is shown, and whose it is."""

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from connections.contract import ErrorAnswer
from connections.events import Event, EventType
from connections.models import audit_log, webhook_deliveries, webhooks
from connections.repository import outbox
from connections.sqltime import from_now
from connections.vault import Opener, WorkerKeys, key_id_of
from connections.webhooks.secrets import sealed_for
from tests.factories import Shown, make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of

URL = "/v1/webhooks"
BODY: dict[str, Any] = {"name": "Billing", "url": "https://example.com/hook", "events": ["account.connected"]}


async def create(api: Api, **changes: Any) -> dict[str, Any]:
    answer = await api.client.post(URL, json=BODY | changes, headers=api.key)
    assert answer.status_code == 201, answer.text
    webhook: dict[str, Any] = answer.json()["data"]
    return webhook


async def send(api: Api, method: str, path: str = "", **more: Any) -> httpx.Response:
    return await api.client.request(method, f"{URL}{path}", headers=api.key, **more)


def emit(api: Api, *subjects: str) -> None:
    with api.database.write() as connection:
        for subject in subjects:
            event = Event(api.tenant.workspace_id, EventType.ACCOUNT_CONNECTED, subject, Shown(id=subject))
            outbox.emit(connection, [event])


def end(api: Api, status: str, *subjects: str) -> None:
    ended = {"status": status, "due_at": None, "finished_at": from_now(), "attempts": 3, "last_error": "timeout"}
    with api.database.write() as connection:
        connection.execute(update(webhook_deliveries).where(webhook_deliveries.c.subject.in_(subjects)).values(ended))


def audited(api: Api) -> list[tuple[str, str, str | None]]:
    query = select(audit_log.c.action, audit_log.c.actor, audit_log.c.target).order_by(audit_log.c.at, audit_log.c.id)
    with api.database.read() as connection:
        return [(row[0], row[1], row[2]) for row in connection.execute(query)]


class TestKeeping:
    async def test_its_secret_is_shown_by_the_answer_that_makes_it_and_by_no_other(self, api: Api) -> None:
        answer = await send(api, "POST", json=BODY)
        made = answer.json()["data"]
        assert answer.headers["location"] == f"{URL}/{made['id']}"
        assert re.fullmatch(r"wh_[0-9a-z]{26}", made["id"])
        assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}", made["secret"])
        assert made["secret_preview"] == f"whsec_…{made['secret'][-4:]}"
        assert {name: made[name] for name in BODY} == BODY
        assert made["active"] is True

        seen = [(await send(api, "GET", f"/{made['id']}")).json()["data"], *(await send(api, "GET")).json()["data"]]
        changed = (await send(api, "PATCH", f"/{made['id']}", json={"name": "x"})).json()["data"]
        assert [one["secret"] for one in (*seen, changed)] == [None] * 3
        assert [one | {"secret": made["secret"]} for one in seen] == [made, made]

    async def test_it_is_sealed_to_the_workers_and_bound_to_its_webhook(self, api: Api) -> None:
        made = await create(api, secret="canary-canary-canary")
        assert made["secret"] == "canary-canary-canary"
        assert made["secret_preview"] == "…nary"
        with api.database.read() as connection:
            row = connection.execute(select(webhooks)).one()
        assert b"canary" not in row.sealed_secret
        assert row.sealing_key == key_id_of(row.sealed_secret)
        settings = api.shim.settings
        opener = Opener(WorkerKeys.load(settings.worker_keys_path, settings))
        bound_to = sealed_for(made["id"], api.tenant.workspace_id)
        assert opener.open(row.sealed_secret, bound_to) == {"secret": "canary-canary-canary"}

    async def test_what_was_sent_is_changed_and_the_rest_stays(self, api: Api) -> None:
        made = await create(api)
        changes = {"url": "https://other.example/", "active": False, "events": ["*"]}
        changed = (await send(api, "PATCH", f"/{made['id']}", json=changes)).json()["data"]

        assert {name: changed[name] for name in changes} == changes
        assert changed["name"] == "Billing"
        assert changed["updated_at"] >= made["updated_at"]
        assert (await send(api, "PATCH", f"/{made['id']}", json={})).json()["data"] == changed

    async def test_another_address_is_not_blamed_for_the_failures_of_the_first(self, api: Api) -> None:
        made = await create(api)
        failing = {"failures": 9, "paused_until": from_now(300)}
        for change, expected in (({"name": "x"}, 9), ({"url": "https://other.example/"}, 0)):
            with api.database.write() as connection:
                connection.execute(update(webhooks).values(failing))
            await send(api, "PATCH", f"/{made['id']}", json=change)
            with api.database.read() as connection:
                row = connection.execute(select(webhooks.c.failures, webhooks.c.paused_until)).one()
            assert (row.failures, row.paused_until is None) == (expected, expected == 0)

    async def test_another_secret(self, api: Api) -> None:
        made = await create(api)
        rotated = (await send(api, "POST", f"/{made['id']}/rotate")).json()["data"]

        assert rotated["secret"] != made["secret"]
        assert rotated["secret_preview"] == f"whsec_…{rotated['secret'][-4:]}"

    async def test_it_can_be_deleted_once(self, api: Api) -> None:
        made = await create(api)
        answer = await send(api, "DELETE", f"/{made['id']}")
        assert (answer.status_code, answer.content) == (204, b"")

        assert (await send(api, "GET")).json()["data"] == []
        error_of(await send(api, "DELETE", f"/{made['id']}"), 404)
        error_of(await send(api, "GET", f"/{made['id']}"), 404)

    async def test_a_workspace_has_twenty_at_most(self, api: Api) -> None:
        made = [await create(api, name=str(number)) for number in range(20)]
        error = error_of(await send(api, "POST", json=BODY), 422)
        assert error["issues"][0]["code"] == "too_many"
        listed = (await send(api, "GET")).json()
        assert [one["name"] for one in listed["data"]] == [str(number) for number in range(20)]
        assert listed["meta"] == {"limit": 20, "next_cursor": None, "has_more": False}

        await send(api, "DELETE", f"/{made[3]['id']}")
        await create(api)

    async def test_what_was_done_is_in_the_audit_log(self, api: Api) -> None:
        made = await create(api)
        path = f"/{made['id']}"
        await send(api, "PATCH", path, json={"active": False})
        await send(api, "PATCH", path, json={})
        await send(api, "POST", f"{path}/rotate")
        await send(api, "DELETE", path)
        await send(api, "DELETE", path)
        await send(api, "POST", json={})

        (key,) = {actor for _, actor, _ in audited(api)}
        assert key.startswith("key_")
        actions = ["webhook.create", "webhook.update", "webhook.rotate", "webhook.delete"]
        assert audited(api) == [(action, key, made["id"]) for action in actions]


class TestRefusals:
    async def test_one_issue_for_each_wrong_field(self, api: Api) -> None:
        error = error_of(await send(api, "POST", json={"url": "http://example.com", "events": ["post.published"]}), 422)
        assert [(issue["field"], issue["code"]) for issue in error["issues"]] == [
            ("name", "required"),
            ("events", "unknown_event"),
            ("url", "invalid_url"),
        ]

    async def test_a_body_that_is_too_large_or_no_json(self, api: Api) -> None:
        error_of(await send(api, "POST", content=b"x" * 70_000), 413)
        error_of(await send(api, "POST", content=b"x"), 422)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/{id}"),
            ("PATCH", "/{id}"),
            ("DELETE", "/{id}"),
            ("POST", "/{id}/rotate"),
            ("GET", "/{id}/deliveries"),
            ("POST", "/{id}/replay"),
            ("POST", "/{id}/deliveries/{delivery}/replay"),
        ],
    )
    async def test_another_workspaces_is_as_one_that_is_not_there(self, api: Api, method: str, path: str) -> None:
        made = await create(api)
        emit(api, "sa_1")
        delivery = (await send(api, "GET", f"/{made['id']}/deliveries")).json()["data"][0]["id"]
        stranger = {"Authorization": f"Bearer {make_tenant(api.database).key}"}
        told = []
        for webhook_id, headers in ((made["id"], stranger), ("wh_none", api.key), ("no%20id", api.key)):
            address = URL + path.format(id=webhook_id, delivery=delivery)
            body = {"name": "theirs"} if method == "PATCH" else None
            answer = await api.client.request(method, address, json=body, headers=headers)
            told.append(error_of(answer, 404))

        assert told[0] == told[1] == told[2]
        assert told[0]["message"] == "There is no such webhook."
        assert (await send(api, "GET", f"/{made['id']}")).json()["data"] == made | {"secret": None}

    async def test_in_development_a_receiver_may_be_on_this_machine(self, api: Api) -> None:
        local = BODY | {"url": "http://127.0.0.1:9000/"}
        error_of(await send(api, "POST", json=local), 422)
        api.shim.webhooks._allows_loopback = True
        assert (await send(api, "POST", json=local)).status_code == 201


class TestDeliveries:
    async def test_they_are_listed_page_by_page_the_latest_first(self, api: Api) -> None:
        made = await create(api)
        other = await create(api)
        emit(api, *[f"sa_{number}" for number in range(7)])
        end(api, "dead", "sa_2", "sa_5")
        end(api, "delivered", "sa_3")
        subjects, query = [], "?limit=3"
        while query:
            answer = (await send(api, "GET", f"/{made['id']}/deliveries{query}")).json()
            subjects.append([one["subject"] for one in answer["data"]])
            meta = answer["meta"]
            assert (meta["limit"], meta["has_more"]) == (3, meta["next_cursor"] is not None)
            query = f"?limit=3&cursor={meta['next_cursor']}" if meta["has_more"] else ""

        assert subjects == [["sa_6", "sa_5", "sa_4"], ["sa_3", "sa_2", "sa_1"], ["sa_0"]]
        dead = (await send(api, "GET", f"/{other['id']}/deliveries?status=dead&limit=1")).json()
        assert [one["subject"] for one in dead["data"]] == ["sa_5"]
        assert dead["meta"]["has_more"] is True

    async def test_what_is_told_of_one(self, api: Api) -> None:
        made = await create(api)
        emit(api, "sa_1")
        (pending,) = (await send(api, "GET", f"/{made['id']}/deliveries")).json()["data"]
        assert re.fullmatch(r"wd_[0-9a-z]{26}", pending["id"])
        assert re.fullmatch(r"evt_[0-9a-z]{26}", pending["event_id"])
        assert pending["next_attempt_at"] is not None
        end(api, "dead", "sa_1")
        (dead,) = (await send(api, "GET", f"/{made['id']}/deliveries")).json()["data"]
        assert (dead["status"], dead["attempts"], dead["last_error"]) == ("dead", 3, "timeout")
        assert (dead["next_attempt_at"], dead["last_status"]) == (None, None)
        assert "data" not in dead

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=x", "cursor=d", "status=lost", "status="])
    async def test_queries_that_are_none(self, api: Api, query: str) -> None:
        made = await create(api)
        error = error_of(await send(api, "GET", f"/{made['id']}/deliveries?{query}"), 422)
        assert error["issues"][0]["field"] == query.partition("=")[0]

    async def test_a_dead_one_is_sent_again_as_the_same_event(self, api: Api) -> None:
        made = await create(api)
        emit(api, "sa_1")
        end(api, "dead", "sa_1")
        path = f"/{made['id']}/deliveries"
        (dead,) = (await send(api, "GET", path)).json()["data"]
        again = (await send(api, "POST", f"{path}/{dead['id']}/replay")).json()["data"]

        assert (again["status"], again["attempts"], again["finished_at"]) == ("pending", 0, None)
        assert {again[name] == dead[name] for name in ("id", "event_id", "subject", "created_at")} == {True}
        twice = (await send(api, "POST", f"{path}/{dead['id']}/replay")).json()["data"]
        assert twice == again
        assert [action for action, _, _ in audited(api)] == ["webhook.create", "webhook.replay"]
        error = error_of(await send(api, "POST", f"{path}/wd_none/replay"), 404)
        assert error["message"] == "There is no such delivery."

    async def test_all_dead_ones_of_one_webhook(self, api: Api) -> None:
        made, other = await create(api), await create(api)
        emit(api, *[f"sa_{number}" for number in range(250)])
        end(api, "dead", *[f"sa_{number}" for number in range(230)])
        answer = await send(api, "POST", f"/{made['id']}/replay")

        assert answer.json()["data"] == {"replayed": 230, "has_more": False}
        left = [
            (await send(api, "GET", f"/{one['id']}/deliveries?status=dead&limit=1000")).json()["data"]
            for one in (made, other)
        ]
        assert [len(one) for one in left] == [0, 230]
        assert (await send(api, "POST", f"/{made['id']}/replay")).json()["data"]["replayed"] == 0
        assert [action for action, _, _ in audited(api)] == ["webhook.create"] * 2 + ["webhook.replay"]


async def test_no_error_quotes_a_secret(api: Api) -> None:
    answer = await send(api, "POST", json=BODY | {"secret": "canary with blanks", "name": 7})

    assert answer.status_code == 422
    assert "canary" not in ErrorAnswer.model_validate(answer.json()).model_dump_json()
