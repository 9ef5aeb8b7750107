"""`POST /v1/accounts/connect`, from the caller's side."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import structlog

from connections import errors
from connections.contract import Account, ProviderError
from connections.errors import ConnectorError
from connections.outcome import Outcome
from connections.repository.tasks import TaskRow
from connections.service import Accepted
from tests.doubles import until
from tests.factories import make_tenant
from tests.unit.api_shim.conftest import BODY, Api
from tests.unit.api_shim.shapes import error_of

DOCUMENTED = {"id", "profile_id", "platform", "account_name", "status", "connection_type", "connected_at"}


async def test_a_connected_account_stands_at_the_top_and_under_data(api: Api) -> None:
    api.queue.on_send = api.worker.succeed

    answer = await api.connect()

    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == DOCUMENTED | {"data", "request_id"}
    assert {name: body[name] for name in DOCUMENTED} == {name: body["data"][name] for name in DOCUMENTED}
    assert set(body["data"]) == set(Account.model_fields)
    assert body["data"]["display_name"] is None
    assert (body["account_name"], body["status"], body["connection_type"]) == ("alice.test", "active", "byo")
    assert body["profile_id"] == api.tenant.profile_ids[0]
    assert datetime.fromisoformat(body["connected_at"]).tzinfo is not None
    assert body["connected_at"].endswith("Z")


async def test_the_request_id_leads_to_the_task_and_to_the_worker(api: Api) -> None:
    api.queue.on_send = api.worker.succeed
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        answer = await api.connect()

    (line,) = lines
    assert (line["event"], line["task_id"]) == ("connect_accepted", api.queue.sent[0])
    assert line["request_id"] == answer.headers["x-request-id"]
    assert list(api.worker.request_ids.values()) == [answer.headers["x-request-id"]]


OUTCOMES: dict[str, tuple[ConnectorError, int, str]] = {
    "credentials": (errors.CredentialsRejected(), 401, "UNAUTHORIZED"),
    "connected": (errors.AlreadyConnected(details={"account_id": "sa_1"}), 409, "ACCOUNT_ALREADY_CONNECTED"),
    "handle": (errors.InvalidHandle(), 422, "VALIDATION_ERROR"),
    "unresolved": (errors.HandleNotFound(), 422, "VALIDATION_ERROR"),
    "mismatch": (errors.HandleMismatch(), 422, "VALIDATION_ERROR"),
    "tombstone": (errors.IdentityUnusable(), 422, "VALIDATION_ERROR"),
    "private host": (errors.HostNotAllowed(), 422, "VALIDATION_ERROR"),
    "main password": (errors.MainPasswordRejected(), 422, "VALIDATION_ERROR"),
    "taken down": (errors.AccountUnavailable(), 422, "VALIDATION_ERROR"),
    "limited": (errors.UpstreamRateLimited(), 429, "UPSTREAM_RATE_LIMITED"),
    "upstream": (errors.UpstreamFailed(), 500, "UPSTREAM_ERROR"),
    "bug": (errors.InternalError(), 500, "INTERNAL_ERROR"),
    "expired": (errors.TaskExpired(), 504, "CONNECT_TIMEOUT"),
}


@pytest.mark.parametrize(("error", "status", "code"), OUTCOMES.values(), ids=OUTCOMES)
async def test_every_outcome_has_its_status(api: Api, error: ConnectorError, status: int, code: str) -> None:
    api.queue.on_send = partial(api.worker.fail, error=error)

    answer = await api.connect()

    described = error_of(answer, status)
    assert described == error.describe().model_dump(mode="json")
    assert described["code"] == code
    assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    assert ("retry-after" in answer.headers) == (status in {429, 503, 504})


async def test_what_the_provider_said_is_told_without_its_empty_parts(api: Api) -> None:
    error = errors.CredentialsRejected(provider=ProviderError(provider="bluesky", http_status=401))
    api.queue.on_send = partial(api.worker.fail, error=error)

    described = error_of(await api.connect(), 401)

    assert described["provider_error"] == {"provider": "bluesky", "http_status": 401}
    assert described["error_source"] == "platform"


async def test_retry_after_is_the_upstreams(api: Api) -> None:
    error = errors.UpstreamRateLimited()
    outcome = Outcome.of_error(error.describe(), datetime.now(UTC) + timedelta(seconds=90))
    api.queue.on_send = partial(api.worker.fail, error=error, outcome=outcome)

    assert 80 <= int((await api.connect()).headers["retry-after"]) <= 90


async def test_a_code_of_a_later_version_is_a_500(api: Api) -> None:
    later = errors.UpstreamFailed().describe().model_copy(update={"code": "LATER", "normalized_code": "later"})
    api.queue.on_send = partial(api.worker.fail, error=errors.UpstreamFailed(), outcome=Outcome.of_error(later))

    assert error_of(await api.connect(), 500)["code"] == "LATER"


async def test_a_failure_without_an_error_is_a_bug_of_ours(api: Api) -> None:
    api.queue.on_send = partial(api.worker.fail, error=errors.UpstreamFailed(), outcome=Outcome())

    assert error_of(await api.connect(), 500)["code"] == "INTERNAL_ERROR"


async def test_a_lost_announcement_does_not_lose_the_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.worker, "announce", lambda task: None)
    api.queue.on_send = api.worker.succeed

    assert (await api.connect()).status_code == 201


async def test_when_the_default_wait_ends_the_task_goes_on(api: Api) -> None:
    app_settings = api.shim.settings.model_copy(update={"sync_wait_seconds": 0.05})
    api.app.state.shim = replace(api.shim, settings=app_settings)

    answer = await api.connect()

    error = error_of(answer, 504)
    (task_id,) = api.queue.sent
    assert error["code"] == "CONNECT_TIMEOUT"
    assert error["details"] == {"task_id": task_id}
    assert error["retry_policy"]["will_retry"] is True
    assert error["retry_policy"]["attempts_remaining"] == error["retry_policy"]["max_attempts"]
    assert answer.headers["location"] == f"/v1/connect/tasks/{task_id}"
    assert answer.headers["retry-after"] == "1"


async def test_the_timeout_tells_when_the_next_attempt_is_due(api: Api) -> None:
    app_settings = api.shim.settings.model_copy(update={"sync_wait_seconds": 0.05})
    api.app.state.shim = replace(api.shim, settings=app_settings)
    api.queue.on_send = partial(api.worker.postpone, error=errors.UpstreamFailed(), delay=40)

    answer = await api.connect()

    policy = error_of(answer, 504)["retry_policy"]
    assert policy["attempts_made"] == 1
    assert datetime.fromisoformat(policy["next_run_at"]) > datetime.now(UTC)
    assert 30 <= int(answer.headers["retry-after"]) <= 40


PENDING = {
    "respond-async": "respond-async",
    "wait=0": "wait=0",
    "Respond-Async; foo=bar": "respond-async",
    "respond-async, wait=0": "respond-async, wait=0",
}


@pytest.mark.parametrize(("prefer", "applied"), PENDING.items())
async def test_who_prefers_not_to_wait_gets_the_task(api: Api, prefer: str, applied: str) -> None:
    answer = await api.connect(prefer=prefer)

    (task_id,) = api.queue.sent
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == applied
    assert answer.headers["location"] == f"/v1/connect/tasks/{task_id}"
    assert answer.headers["retry-after"] == "1"
    task = answer.json()["data"]
    assert (task["id"], task["status"], task["attempts"]) == (task_id, "queued", 0)
    assert (task["account"], task["error"], task["batch_id"], task["next_attempt_at"]) == (None, None, None, None)


async def test_a_preferred_wait_that_ends_is_a_202(api: Api) -> None:
    assert (await api.connect(prefer="wait=1")).status_code == 202


@pytest.mark.parametrize("prefer", ["wait=5", "respond-async, wait=5"])
async def test_an_outcome_within_the_preferred_wait_is_answered(api: Api, prefer: str) -> None:
    api.queue.on_send = api.worker.succeed

    answer = await api.connect(prefer=prefer)

    assert (answer.status_code, answer.headers["preference-applied"]) == (201, prefer)


@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-1", "wait", "return=minimal", ",;=", ""])
async def test_other_preferences_change_nothing(api: Api, prefer: str) -> None:
    api.queue.on_send = api.worker.succeed

    answer = await api.connect(prefer=prefer)

    assert answer.status_code == 201
    assert "preference-applied" not in answer.headers


async def test_identical_requests_in_flight_share_one_task_and_one_message(api: Api) -> None:
    sent = asyncio.Event()
    loop = asyncio.get_running_loop()
    api.queue.on_send = lambda task_id: loop.call_soon_threadsafe(sent.set)
    first = asyncio.create_task(api.connect())
    await sent.wait()
    others = [asyncio.create_task(api.connect()) for _ in range(3)]
    await until(lambda: api.waiting_for(api.queue.sent[0]) == 1 + len(others))
    assert len(api.shim.waiting) == 1 + len(others)
    api.worker.succeed(api.queue.sent[0])

    answers = await asyncio.gather(first, *others)

    assert len(api.queue.sent) == 1
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["request_id"] for answer in answers}) == len(answers)


async def test_who_joins_a_task_takes_one_place(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.shim.waiting, "_capacity", 2)
    first = asyncio.create_task(api.connect())
    await until(lambda: len(api.queue.sent) == 1)
    other = asyncio.create_task(api.connect())
    await until(lambda: api.waiting_for(api.queue.sent[0]) == 2 or other.done())
    refused = await api.connect()
    api.worker.succeed(api.queue.sent[0])

    assert [(await first).status_code, (await other).status_code] == [201, 201]
    assert error_of(refused, 503)["message"] == "Too many callers are waiting. Nothing was stored; try again."


async def test_a_joined_task_that_ended_meanwhile_is_found_without_an_announcement(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_shim.waiting.POLL_SECONDS", 3600.0)  # only the look at the table can answer
    await api.connect(prefer="respond-async")
    (task_id,) = api.queue.sent
    accept = api.shim.service.accept

    def accept_then_end(*args: Any, **kwargs: Any) -> Accepted:
        accepted = accept(*args, **kwargs)
        api.worker.succeed(task_id)
        return accepted

    monkeypatch.setattr(api.shim.service, "accept", accept_then_end)

    assert (await api.connect()).json()["account_name"] == "alice.test"


async def test_without_a_queue_the_task_is_stored(api: Api) -> None:
    api.queue.is_down = True

    answer = await api.connect()

    error = error_of(answer, 503)
    assert error["code"] == "QUEUE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) >= 1
    task = await api.get(f"/v1/connect/tasks/{error['details']['task_id']}")
    assert task.json()["data"]["status"] == "queued"


PROFILES = {"several": (2, "required"), "none": (0, "no_profile")}


@pytest.mark.parametrize(("profiles", "code"), PROFILES.values(), ids=PROFILES)
async def test_a_profile_that_is_not_to_be_determined(api: Api, profiles: int, code: str) -> None:
    api.tenant = make_tenant(api.database, profiles=profiles)

    (issue,) = error_of(await api.connect(), 422)["issues"]

    assert (issue["field"], issue["code"]) == ("profile_id", code)
    assert api.queue.sent == []


async def test_a_foreign_profile_is_unknown(api: Api) -> None:
    foreign = make_tenant(api.database).profile_ids[0]

    (issue,) = error_of(await api.connect(profile_id=foreign), 422)["issues"]

    assert issue["code"] == "unknown_profile"


async def test_a_database_that_does_not_answer_is_a_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> Accepted:
        raise errors.ServiceUnavailable

    monkeypatch.setattr(api.shim.service, "accept", fail)

    answer = await api.connect()

    assert error_of(answer, 503)["code"] == "SERVICE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_database_lost_meanwhile_still_names_the_task(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await api.connect(prefer="respond-async")

    def fail(*_args: Any) -> TaskRow:
        raise errors.ServiceUnavailable

    monkeypatch.setattr(api.shim.service, "task", fail)

    error = error_of(await api.connect(prefer="respond-async"), 503)

    assert error["details"] == {"task_id": api.queue.sent[0]}
    assert "Nothing was stored" not in error["message"]


async def test_who_joins_a_task_that_waits_for_longer_is_told_so_at_once(api: Api) -> None:
    await api.connect(prefer="respond-async")
    api.worker.postpone(api.queue.sent[0], errors.RateLimited("Too many failed logins.", retry_after=600), delay=600)
    async with asyncio.timeout(5):  # a plain call waits ten seconds here
        answer = await api.connect()

    error = error_of(answer, 504)
    assert error["hint"] == "The last attempt ended with: Too many failed logins."
    assert answer.headers["location"] == f"/v1/connect/tasks/{api.queue.sent[0]}"
    assert int(answer.headers["retry-after"]) == 60
    assert error["retry_policy"]["next_run_at"] is not None


async def test_who_asks_for_a_task_gets_one_even_if_it_has_ended_by_then(api: Api) -> None:
    headers = api.key | {"Prefer": "respond-async", "Idempotency-Key": "one"}
    first = await api.client.post("/v1/accounts/connect", json=BODY, headers=headers)
    api.worker.succeed(api.queue.sent[0])
    answer = await api.client.post("/v1/accounts/connect", json=BODY, headers=headers)

    assert (first.json()["data"]["status"], answer.status_code) == ("queued", 202)
    assert answer.json()["data"]["status"] == "succeeded"
    assert answer.headers["location"].endswith(api.queue.sent[0])
