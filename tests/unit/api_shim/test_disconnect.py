"""`DELETE /v1/accounts/{account_id}`."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, select, update

from connections.contract import DisconnectedAnswer
from connections.ids import new_id
from connections.models import accounts, audit_log, retired_sessions, webhook_deliveries, webhooks
from connections.sqltime import from_now
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of

Table = Any


async def connected(api: Api) -> str:
    """An account, connected just now."""
    api.queue.on_send = api.worker.succeed
    answer = await api.connect()
    assert answer.status_code == 201
    account_id: str = answer.json()["id"]
    return account_id


async def disconnect(api: Api, account_id: str) -> httpx.Response:
    return await api.client.delete(f"/v1/accounts/{account_id}", headers=api.key)


def rows(api: Api, table: Table) -> list[Row[Any]]:
    with api.database.read() as connection:
        return list(connection.execute(select(table)))


async def test_the_answer_is_the_account_as_it_is_now(api: Api) -> None:
    account_id = await connected(api)

    answer = await disconnect(api, account_id)

    assert answer.status_code == 200
    DisconnectedAnswer.model_validate(answer.json(), extra="forbid")
    account = answer.json()["data"]
    assert (account["id"], account["status"], account["account_name"]) == (account_id, "disconnected", "alice.test")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert api.queue.asked_to_end == 1


async def test_the_account_keeps_no_token_and_its_session_is_to_be_ended(api: Api) -> None:
    account_id = await connected(api)
    (before,) = rows(api, accounts)

    await disconnect(api, account_id)

    (account,) = rows(api, accounts)
    assert (account.access_token, account.refresh_token, account.token_key) == (None, None, None)
    assert account.disconnected_at == account.status_since is not None
    assert account.refresh_fence > before.refresh_fence
    (session,) = rows(api, retired_sessions)
    assert (session.account_id, session.refresh_token) == (account_id, before.refresh_token)
    assert (session.token_key, session.host, session.platform) == (before.token_key, before.host, "bluesky")
    assert session.retired_at == session.end_at < session.expires_at


async def test_tokens_that_were_replaced_before_are_to_be_ended_too(api: Api) -> None:
    account_id = await connected(api)
    with api.database.write() as connection:
        values = {"platform": "bluesky", "host": "https://pds.test", "refresh_token": b"t1.old", "token_key": "t1"}
        times = {"retired_at": from_now(-60), "expires_at": from_now(7140)}
        connection.execute(retired_sessions.insert().values(id="rs_old", account_id=account_id, **values, **times))

    await disconnect(api, account_id)

    assert [row.end_at is not None for row in rows(api, retired_sessions)] == [True, True]


async def test_it_is_in_the_audit_log_and_webhooks_are_told(api: Api) -> None:
    account_id = await connected(api)
    with api.database.write() as connection:
        connection.execute(
            webhooks.insert().values(
                id=new_id("wh"),
                workspace_id=api.tenant.workspace_id,
                name="hook",
                url="https://receiver.test",
                events=["account.disconnected"],
                active=True,
                sealed_secret=b"s1.sealed",
                sealing_key="s1",
                secret_preview="…",
                created_at=from_now(),
                updated_at=from_now(),
            )
        )

    answer = await disconnect(api, account_id)

    entries = [row for row in rows(api, audit_log) if row.action == "account.disconnect"]
    assert [(entry.account_id, entry.outcome) for entry in entries] == [(account_id, "succeeded")]
    assert entries[0].request_id == answer.json()["request_id"]
    assert entries[0].actor.startswith("key_")
    told = [row for row in rows(api, webhook_deliveries) if row.event == "account.disconnected"]
    assert [(row.subject, row.data) for row in told] == [(account_id, answer.json()["data"])]


async def test_done_again_it_says_the_same_and_writes_nothing(api: Api) -> None:
    account_id = await connected(api)
    first = await disconnect(api, account_id)
    tables = (accounts, retired_sessions, audit_log)
    before = [rows(api, table) for table in tables]

    again = await disconnect(api, account_id)

    assert (again.status_code, again.json()["data"]) == (200, first.json()["data"])
    assert [rows(api, table) for table in tables] == before
    assert api.queue.asked_to_end == 1


async def test_many_at_once_disconnect_it_once(api: Api) -> None:
    account_id = await connected(api)

    answers = await asyncio.gather(*(disconnect(api, account_id) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(rows(api, retired_sessions)) == 1


async def test_the_same_account_can_be_connected_anew_at_once(api: Api) -> None:
    account_id = await connected(api)
    with api.database.write() as connection:
        connection.execute(update(accounts).values(external_id="did:plc:one"))
    await disconnect(api, account_id)

    anew = await connected(api)
    with api.database.write() as connection:  # the same account, which the workspace may have connected but once
        connection.execute(update(accounts).where(accounts.c.id == anew).values(external_id="did:plc:one"))

    assert anew != account_id


@pytest.mark.parametrize("account_id", ["sa_unknown", "sa_00000000000000000000000000", "%00"])
async def test_an_unknown_account_is_not_found(api: Api, account_id: str) -> None:
    answer = await disconnect(api, account_id)

    assert error_of(answer, 404)["code"] == "NOT_FOUND"


async def test_another_workspaces_account_is_not_found_and_stays(api: Api) -> None:
    account_id = await connected(api)
    stranger = make_tenant(api.database)

    answer = await api.client.delete(f"/v1/accounts/{account_id}", headers={"Authorization": f"Bearer {stranger.key}"})

    assert answer.status_code == 404
    assert [row.status for row in rows(api, accounts)] == ["active"]
    assert rows(api, retired_sessions) == []


async def test_a_queue_that_is_down_changes_nothing(api: Api) -> None:
    account_id = await connected(api)
    api.queue.is_down = True

    assert (await disconnect(api, account_id)).status_code == 200
    assert len(rows(api, retired_sessions)) == 1
