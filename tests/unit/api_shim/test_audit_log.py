"""`GET /v1/audit-log`, and what comes to be told there."""

import csv
import io
import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from connections.audit import Action, AuditEntry, AuditOutcome
from connections.contract import AuditLogAnswer, RowStatus
from connections.models import audit_log
from connections.repository import audit
from tests.batch_rows import insert_batch
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.shapes import error_of

PATH = "/v1/audit-log"
BATCHES = "/v1/connect/batches"
CSV = b"handle,app_password\nalice.test,canary-password\n"


async def log_of(api: Api, query: str = "") -> list[dict[str, Any]]:
    answer = await api.get(f"{PATH}{query}")
    assert answer.status_code == 200, answer.text
    AuditLogAnswer.model_validate(answer.json(), extra="forbid")
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def record(api: Api, *entries: tuple[Action, AuditOutcome], workspace_id: str = "", **more: str) -> None:
    """One transaction each: the later ones are later."""
    for action, outcome in entries:
        with api.database.write() as connection:
            entry = AuditEntry(workspace_id or api.tenant.workspace_id, "key_1", action, outcome, **more)
            audit.record(connection, [entry])


async def post(api: Api, body: bytes = CSV, *, headers: Mapping[str, str] = {}) -> httpx.Response:
    return await api.client.post(BATCHES, content=body, headers={**api.key, "Content-Type": "text/csv", **headers})


async def test_it_begins_empty_and_wants_a_key(api: Api) -> None:
    error_of(await api.client.get(PATH), 401)

    answer = (await api.get(PATH)).json()

    assert (answer["data"], answer["meta"]) == ([], {"limit": 100, "next_cursor": None, "has_more": False})


async def test_a_batch_is_noted_once_with_who_asked(api: Api) -> None:
    answers = [
        await post(api, headers={"Idempotency-Key": "the-same", "X-Request-Id": name})
        for name in ("req_one", "req_two")
    ]
    refused = await post(api, b"handle\n")

    assert [answer.status_code for answer in (*answers, refused)] == [202, 202, 422]
    (entry,) = await log_of(api)
    assert entry | {"id": "", "at": "", "actor": ""} == {
        "id": "",
        "at": "",
        "actor": "",
        "actor_type": "key",
        "action": "batch.create",
        "account_id": None,
        "target": answers[0].json()["data"]["id"],
        "outcome": "succeeded",
        "cause": None,
        "request_id": "req_one",
    }


async def test_a_batch_whose_key_was_used_in_this_very_moment_is_not_noted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(api, headers={"Idempotency-Key": "the-same"})
    # The first look finds nothing, as if the other had not been committed.
    monkeypatch.setattr(api.shim.intake, "_first_use", _blind_once(api.shim.intake._first_use))

    assert (await post(api, headers={"Idempotency-Key": "the-same"})).status_code == 202
    assert len(await log_of(api)) == 1


def _blind_once(look: Any) -> Any:
    looks: list[Any] = []

    def looking(keyed: Any) -> Any:
        looks.append(keyed)
        return None if len(looks) == 1 else look(keyed)

    return looking


async def test_a_cancellation_is_noted_once_and_only_where_something_was_canceled(api: Api) -> None:
    running, over = (
        insert_batch(api.database, api.tenant, [status]) for status in (RowStatus.QUEUED, RowStatus.FAILED)
    )
    for batch_id in (running, running, over):
        answer = await api.client.post(f"{BATCHES}/{batch_id}/cancel", headers=api.key | {"X-Request-Id": "req_cancel"})
        assert answer.status_code == 200

    (entry,) = await log_of(api)
    assert (entry["action"], entry["target"], entry["request_id"]) == ("batch.cancel", running, "req_cancel")


async def test_pages_and_filters(api: Api) -> None:
    record(api, *[(Action.ACCOUNT_CONNECT, AuditOutcome.SUCCEEDED)] * 3, account_id="sa_1")
    record(api, (Action.ACCOUNT_CONNECT, AuditOutcome.FAILED), cause="unauthorized")
    record(api, (Action.KEY_REVOKE, AuditOutcome.SUCCEEDED), target="key_2")
    whole = await log_of(api)

    # Those of one millisecond are in the order of their ids.
    assert whole == sorted(whole, key=lambda entry: (entry["at"], entry["id"]), reverse=True)
    assert sorted(entry["action"] for entry in whole) == [*["account.connect"] * 4, "key.revoke"]
    assert await log_of(api, "?account_id=sa_1") == [entry for entry in whole if entry["account_id"] == "sa_1"]
    failed = [entry for entry in whole if entry["outcome"] == "failed"]
    assert await log_of(api, "?action=account.connect&outcome=failed") == failed
    assert await log_of(api, "?actor=key_1") == whole
    assert await log_of(api, "?actor=operator") == []
    assert await log_of(api, f"?since={whole[2]['at']}&limit=1") == whole[:1]

    first = (await api.get(f"{PATH}?limit=3")).json()
    assert (first["meta"]["limit"], first["meta"]["has_more"]) == (3, True)
    second = (await api.get(f"{PATH}?limit=3&cursor={first['meta']['next_cursor']}")).json()
    assert first["data"] + second["data"] == whole
    assert second["meta"] == {"limit": 3, "next_cursor": None, "has_more": False}


async def test_an_instant_has_any_offset_and_the_end_is_not_in_it(api: Api) -> None:
    record(api, (Action.KEY_CREATE, AuditOutcome.SUCCEEDED))
    (entry,) = await log_of(api)
    at = datetime.fromisoformat(entry["at"])
    here = (at + timedelta(hours=5)).isoformat(timespec="milliseconds").replace("+00:00", "%2B05:00")

    assert await log_of(api, f"?since={here}") == [entry]
    assert await log_of(api, f"?until={here}") == []


async def test_another_workspace_sees_nothing_of_it(api: Api) -> None:
    record(api, (Action.ACCOUNT_CONNECT, AuditOutcome.SUCCEEDED), account_id="sa_1")
    (entry,) = await log_of(api)
    mine = (await api.get(f"{PATH}?limit=1")).json()["meta"]["next_cursor"]
    assert mine is None
    api.tenant = make_tenant(api.database)

    for query in ("", "?account_id=sa_1", "?actor=key_1", f"?until=9999-12-31T23:59:59Z&since={entry['at']}"):
        assert await log_of(api, query) == []


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("since=yesterday", ["since"]),
        ("since=2026-02-30T00:00:00Z&until=2026-01-01", ["since", "until"]),
        ("action=account.fly", ["action"]),
        ("outcome=maybe", ["outcome"]),
        ("account_id=%20", ["account_id"]),
        ("actor=" + "a" * 65, ["actor"]),
        ("limit=0", ["limit"]),
        ("limit=1001", ["limit"]),
        ("cursor=r1", ["cursor"]),
        ("cursor=fffffffffffffff-al_1", ["cursor"]),
    ],
)
async def test_what_is_not_understood_is_an_issue_each(api: Api, query: str, fields: list[str]) -> None:
    error = error_of(await api.get(f"{PATH}?{query}"), 422)

    assert [issue["field"] for issue in error["issues"]] == fields


async def test_a_cursor_of_any_value_is_an_answer(api: Api) -> None:
    for cursor in ("0-a", "ffffffffffffff-z", "00000000000000-al_1"):
        assert await log_of(api, f"?cursor={cursor}") == []


numbers = itertools.count()

# Told from ours wherever they turn up.
secrets = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(lambda text: f"canary-{text}-yranac")
labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=labels, password=secrets, reference=secrets, other=secrets)
async def test_nothing_that_callers_write_is_in_it(
    api: Api, label: str, password: str, reference: str, other: str
) -> None:
    handle = f"canary{label}.test"
    body = io.StringIO()
    csv.writer(body).writerows(
        [
            ["handle", "app_password", "external_ref", other],
            [handle, password, reference, other],
            [other, password, reference, other],
        ]
    )
    batch = await post(api, body.getvalue().encode(), headers={"Idempotency-Key": f"canary-{label}-{next(numbers)}"})
    connected = await api.connect(
        "respond-async", credentials={"handle": handle, "app_password": password, "password": other}, profile_id=None
    )
    for answer in (batch, await api.get(f"{PATH}?actor=canary-{label}"), connected):
        assert answer.status_code < 300, answer.text
    canceled = f"{BATCHES}/{batch.json()['data']['id']}/cancel"
    assert (await api.client.post(canceled, headers=api.key)).status_code == 200

    with api.database.read() as connection:
        written = [str(cell) for row in connection.execute(select(audit_log)) for cell in row]
    assert written
    assert not [cell for cell in written if "canary" in cell or password in cell]
