"""`POST /internal/accounts/{id}/session`: who gets a session, what the answer has, and what is left behind."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy import func, select

from connections import errors
from connections.contract import ErrorAnswer
from connections.models import session_requests
from connections.repository import workspaces
from connections.vault import EphemeralKey
from tests.account_rows import insert_account
from tests.doubles import until
from tests.factories import Tenant, make_tenant
from tests.sessions import TOKEN, FakeSessions, audited, opener
from tests.unit.api_shim.conftest import Api
from tests.unit.api_shim.test_hanging_up import Caller


class Publisher:
    """Another service of the operator, one of the workspace's accounts, and a worker."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tenant: Tenant = make_tenant(api.database, scopes="sessions")
        self.account_id = insert_account(api.database, self.tenant)
        self.sessions = FakeSessions()
        self.worker = opener(api.database, self.sessions, api.broker.publish)
        api.queue.on_session = self.worker.open

    @property
    def key_id(self) -> str:
        with self.api.database.read() as connection:
            row = workspaces.api_key_by_prefix(connection, self.tenant.key_prefix)
        assert row is not None
        return row.id

    async def ask(self, account_id: str | None = None, *, key: str | None = None, **options: Any) -> httpx.Response:
        path = f"/internal/accounts/{account_id or self.account_id}/session"
        headers = {"Authorization": f"Bearer {key or self.tenant.key}", "X-Request-Id": "req_mine"}
        return await self.api.client.post(path, headers=headers | options.pop("headers", {}), **options)

    def left(self) -> int:
        """Requests that are still in the table."""
        with self.api.database.read() as connection:
            return connection.execute(select(func.count()).select_from(session_requests)).scalar_one()

    def audited(self) -> list[tuple[str | None, ...]]:
        """Account, outcome and cause of each call; all were made with one key for one purpose."""
        entries = audited(self.api.database)
        assert {(entry.actor, entry.action, entry.request_id) for entry in entries} <= {
            (self.key_id, "account.session", "req_mine")
        }
        return [(entry.account_id, entry.outcome, entry.cause) for entry in entries]


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 3600.0)


@pytest.fixture
def fast_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 0.02)


@pytest.fixture
def publisher(api: Api) -> Publisher:
    return Publisher(api)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, ErrorAnswer.model_validate_json(answer.content, extra="forbid").error.code


async def test_a_session_is_given_to_a_key_with_the_scope(publisher: Publisher) -> None:
    answer = await publisher.ask()

    assert answer.status_code == 200
    assert answer.json() == {
        "data": {
            "account_id": publisher.account_id,
            "platform": "bluesky",
            "did": "did:plc:alice",
            "handle": "alice.test",
            "service_endpoint": "https://pds.test",
            "access_token": TOKEN,
            "expires_at": "2026-11-23T12:00:00.000Z",
        },
        "request_id": "req_mine",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert publisher.sessions.asked == [(publisher.account_id, 300)]
    assert publisher.audited() == [(publisher.account_id, "succeeded", None)]
    assert publisher.left() == 0


async def test_nothing_that_is_stored_or_logged_has_the_token(publisher: Publisher) -> None:
    kept: list[str] = []
    give = publisher.worker.open

    def give_and_look(request_id: str) -> None:
        give(request_id)
        with publisher.api.database.read() as connection:
            kept.extend(str(row) for row in connection.execute(select(session_requests)))

    publisher.api.queue.on_session = give_and_look
    with structlog.testing.capture_logs() as logs:
        assert (await publisher.ask()).status_code == 200

    assert len(kept) == 1
    assert logs
    assert TOKEN not in str([kept, logs])


async def test_a_key_without_the_scope_is_refused_and_that_is_noted(publisher: Publisher) -> None:
    with publisher.api.database.write() as connection:
        connection.exec_driver_sql("UPDATE api_keys SET scopes = 'sessions:none another'")

    assert error_of(await publisher.ask()) == (403, "FORBIDDEN")
    assert error_of(await publisher.ask("sa_of_nobody")) == (403, "FORBIDDEN")
    assert error_of(await publisher.ask(content=b"{")) == (403, "FORBIDDEN")  # and learns nothing else
    assert Counter(publisher.audited()) == {
        (publisher.account_id, "failed", "forbidden"): 2,
        (None, "failed", "forbidden"): 1,
    }
    assert publisher.sessions.asked == []
    assert publisher.left() == 0


async def test_a_scope_adds_to_the_public_api(publisher: Publisher) -> None:
    answer = await publisher.api.client.get(
        "/v1/connect/tasks/ct_1", headers={"Authorization": f"Bearer {publisher.tenant.key}"}
    )

    assert answer.status_code == 404


async def test_without_a_key_nobody_is_asked(publisher: Publisher) -> None:
    assert error_of(await publisher.ask(key="nonsense")) == (401, "UNAUTHORIZED")
    assert publisher.audited() == []


@pytest.mark.parametrize("account_id", ["sa_of_nobody", "'; --", "é" * 99])
async def test_what_is_no_account_is_not_found_and_not_repeated(publisher: Publisher, account_id: str) -> None:
    answer = await publisher.ask(account_id)

    assert error_of(answer) == (404, "NOT_FOUND")
    assert account_id not in answer.text
    assert publisher.audited() == [(None, "failed", "not_found")]


async def test_an_account_of_another_workspace_is_not_found(publisher: Publisher) -> None:
    foreign = insert_account(publisher.api.database, publisher.api.tenant)

    assert error_of(await publisher.ask(foreign)) == (404, "NOT_FOUND")
    assert publisher.audited() == [(None, "failed", "not_found")]
    assert publisher.left() == 0


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"", 300),
        (b"{}", 300),
        (b'{"min_seconds_left": null}', 300),
        (b'{"min_seconds_left": 0}', 0),
        (b'{"min_seconds_left": 3600}', 3600),
        (b'{"min_seconds_left": 60.0, "x": []}', 60),
    ],
)
async def test_how_long_the_session_must_live_on(publisher: Publisher, body: bytes, seconds: int) -> None:
    assert (await publisher.ask(content=body)).status_code == 200
    assert publisher.sessions.asked == [(publisher.account_id, seconds)]


WRONG = {
    b"{": ("body", "invalid_json"),
    b"null": ("body", "invalid_type"),
    b"[]": ("body", "invalid_type"),
    b'{"min_seconds_left": -1}': ("min_seconds_left", "out_of_range"),
    b'{"min_seconds_left": 3601}': ("min_seconds_left", "out_of_range"),
    b'{"min_seconds_left": 1e300}': ("min_seconds_left", "out_of_range"),
    b'{"min_seconds_left": 0.5}': ("min_seconds_left", "invalid_type"),
    b'{"min_seconds_left": true}': ("min_seconds_left", "invalid_type"),
    b'{"min_seconds_left": "300"}': ("min_seconds_left", "invalid_type"),
    b'{"min_seconds_left": {}}': ("min_seconds_left", "invalid_type"),
}


@pytest.mark.parametrize("body", WRONG)
async def test_a_body_that_is_wrong(publisher: Publisher, body: bytes) -> None:
    answer = await publisher.ask(content=body)

    assert error_of(answer) == (422, "VALIDATION_ERROR")
    (issue,) = answer.json()["error"]["issues"]
    assert (issue["field"], issue["code"]) == WRONG[body]
    assert publisher.sessions.asked == []


async def test_a_body_that_is_no_json_or_too_long(publisher: Publisher) -> None:
    plain = {"Content-Type": "text/plain"}
    assert error_of(await publisher.ask(headers=plain, content=b"{}")) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert error_of(await publisher.ask(content=b" " * 5000)) == (413, "PAYLOAD_TOO_LARGE")


FAULTS: dict[str, tuple[Exception, int, str | None]] = {
    "reconnect_required": (errors.ReconnectRequired(), 409, None),
    "not_found": (errors.NotFound("There is no such account."), 404, None),
    "upstream_rate_limited": (errors.UpstreamRateLimited(retry_after=12.2), 429, "13"),
    "upstream_error": (errors.UpstreamFailed(), 500, None),
    "service_unavailable": (errors.KeyUnavailable(retry_after=5.0), 503, "5"),
    "internal_error": (RuntimeError(f"a bug that has {TOKEN}"), 500, None),
}


@pytest.mark.parametrize("cause", FAULTS)
async def test_why_there_is_no_session(publisher: Publisher, cause: str) -> None:
    publisher.sessions.fault, status, retry_after = FAULTS[cause]
    with structlog.testing.capture_logs():
        answer = await publisher.ask()

    assert error_of(answer) == (status, cause.upper())
    assert answer.headers.get("retry-after") == retry_after
    assert TOKEN not in answer.text
    assert publisher.audited() == [(publisher.account_id, "failed", cause)]
    assert publisher.left() == 0


async def test_a_queue_that_is_down(publisher: Publisher) -> None:
    publisher.api.queue.is_down = True

    answer = await publisher.ask()

    assert error_of(answer) == (503, "QUEUE_UNAVAILABLE")
    assert "No session was given out" in answer.json()["error"]["message"]
    assert publisher.audited() == [(publisher.account_id, "failed", "unanswered")]
    assert publisher.left() == 0


async def test_nobody_answers(publisher: Publisher) -> None:
    publisher.api.queue.on_session = lambda request_id: None
    object.__setattr__(publisher.api.shim.settings, "sync_wait_seconds", 0.05)

    answer = await publisher.ask()

    assert error_of(answer) == (504, "SESSION_TIMEOUT")
    assert answer.headers["retry-after"] == "5"
    assert publisher.audited() == [(publisher.account_id, "failed", "unanswered")]
    assert publisher.left() == 0


@pytest.mark.usefixtures("no_poll")
async def test_an_answer_of_the_last_moment_is_not_lost(publisher: Publisher) -> None:
    object.__setattr__(publisher.api.shim.settings, "sync_wait_seconds", 0.05)
    publisher.api.queue.on_session = opener(publisher.api.database, publisher.sessions).open  # and announces nothing

    assert (await publisher.ask()).status_code == 200


@pytest.mark.usefixtures("fast_poll")
async def test_without_an_announcement_the_poll_finds_the_answer(publisher: Publisher) -> None:
    publisher.api.queue.on_session = opener(publisher.api.database, publisher.sessions).open

    assert (await publisher.ask()).status_code == 200


@pytest.mark.usefixtures("no_poll")
async def test_an_announcement_wakes_the_caller_without_a_poll(publisher: Publisher) -> None:
    assert (await asyncio.wait_for(publisher.ask(), 10)).status_code == 200


async def test_a_message_that_was_lost(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connections.session_answers._LATE_SECONDS", 0.0)
    publisher.api.queue.on_session = lambda request_id: None
    caller = asyncio.create_task(publisher.ask())
    await until(lambda: len(publisher.api.shim.waiting_for_sessions) == 1 and publisher.left() == 1)

    await asyncio.to_thread(publisher.worker.open_overdue)

    assert (await asyncio.wait_for(caller, 10)).status_code == 200


@pytest.mark.usefixtures("fast_poll")
async def test_an_answer_that_somebody_has_forged_is_a_bug_and_not_a_session(publisher: Publisher) -> None:
    def forge(request_id: str) -> None:
        with publisher.api.database.write() as connection:
            connection.exec_driver_sql(
                "UPDATE session_requests SET finished_at = created_at, sealed_session = ?", (bytes(80),)
            )

    publisher.api.queue.on_session = forge
    with structlog.testing.capture_logs():
        assert error_of(await publisher.ask()) == (500, "INTERNAL_ERROR")


async def test_callers_of_one_account_get_an_answer_each(publisher: Publisher) -> None:
    answers = await asyncio.gather(*(publisher.ask() for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(publisher.audited()) == 20
    assert publisher.left() == 0


async def test_the_public_key_is_another_each_time(publisher: Publisher) -> None:
    keys: list[bytes] = []

    def note(request_id: str) -> None:
        with publisher.api.database.read() as connection:
            keys.extend(connection.execute(select(session_requests.c.public_key)).scalars())
        publisher.worker.open(request_id)

    publisher.api.queue.on_session = note
    await publisher.ask()
    await publisher.ask()

    assert len({*keys}) == 2
    assert {len(key) for key in keys} == {len(EphemeralKey().public)}


async def test_who_waits_is_counted_and_sent_home_at_the_end(publisher: Publisher) -> None:
    publisher.api.queue.on_session = lambda request_id: None
    caller = asyncio.create_task(publisher.ask())
    await until(lambda: len(publisher.api.shim.waiting_for_sessions) == 1)
    assert b"connector_waiting_callers 1.0" in publisher.api.shim.metrics.render()

    publisher.api.shim.release_after(0.01)

    assert error_of(await asyncio.wait_for(caller, 10)) == (504, "SESSION_TIMEOUT")


async def test_who_hangs_up_leaves_an_entry_and_no_request(publisher: Publisher) -> None:
    api = publisher.api
    api.tenant = publisher.tenant
    api.queue.on_session = lambda request_id: None
    caller = Caller(api, "POST", f"/internal/accounts/{publisher.account_id}/session")
    asking = asyncio.create_task(caller.ask())
    await until(lambda: len(api.queue.sessions) == 1)
    caller.hang_up()
    await asking

    assert caller.answered[0]["status"] == 499
    assert len(api.shim.waiting_for_sessions) == 0
    assert publisher.left() == 0
    assert [(entry.outcome, entry.cause) for entry in audited(api.database)] == [("failed", "unanswered")]
