"""Every error of the tree reaches a caller, with the status and the codes of the contract.

Each has a scenario through the whole service in one process: HTTP request, row in SQLite, performer, answer. What a
host, a name or a document brings about comes from a row of the hostile suite, through the real adapter.
"""

import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from api_shim.errors import STATUS
from connections import errors
from connections.errors import ConnectorError, InvalidIdentity, QueueUnavailable
from connections.models import connect_tasks
from connections.rate import Rate
from connections.settings import Environment, Settings
from connections.sqltime import from_now
from connections.vault import generate_keys, open_key_store
from connections.verified import Credentials, VerifiedAccount
from tests.account_rows import insert_account
from tests.factories import FakePlatform, make_tenant, verified
from tests.hostile import rows_what, rows_where, rows_who
from tests.hostile.case import FAILED, LIMITED, REJECTED, Expected, refused
from tests.hostile.run import Run, outcome
from tests.hostile.stack import CONNECT, InlineQueue, Stack, running_stack
from tests.servers import Valkey
from worker.login_limits import LoginLimits
from worker.platforms.base import BeforeLogin
from worker.redis_client import redis_client

# The table of the contract, and the statuses it leaves to the protocol.
CONTRACT = {
    "UNAUTHORIZED": 401,
    "VALIDATION_ERROR": 422,
    "ACCOUNT_ALREADY_CONNECTED": 409,
    "ACCOUNT_MISMATCH": 409,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "UPSTREAM_RATE_LIMITED": 429,
    "RATE_LIMITED": 429,
    "CANCELED": 409,
    "FORBIDDEN": 403,
    "PROFILE_IN_USE": 409,
    "PROFILE_NAME_TAKEN": 409,
    "RECONNECT_REQUIRED": 409,
    "SESSION_ENDED": 409,
    "ACCOUNT_MOVED": 409,
    "SESSION_TIMEOUT": 504,
    "UPSTREAM_ERROR": 500,
    "INTERNAL_ERROR": 500,
    "QUEUE_UNAVAILABLE": 503,
    "CONNECT_TIMEOUT": 504,
    "BAD_REQUEST": 400,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "PAYLOAD_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "SERVICE_UNAVAILABLE": 503,
}
ISSUES = {
    "invalid_handle",
    "handle_not_found",
    "handle_mismatch",
    "identity_unusable",
    "host_not_allowed",
    "main_password_rejected",
    "account_unavailable",
}

HANDLE, PASSWORD = "alice.example.com", "abcd-efgh-2345-wxyz"
HOSTILE = (*rows_who.ROWS, *rows_where.ROWS, *rows_what.ROWS)


@dataclass(frozen=True)
class Bench:
    """What scenarios are built from."""

    keys_file: Path
    database_url: str
    valkey: Valkey

    def settings(self, **changes: Any) -> Settings:
        known: dict[str, Any] = {
            "env": Environment.PRODUCTION,
            "keys_file": self.keys_file,
            "database_url": self.database_url,
            "redis_url": self.valkey.url,
            "worker_threads": 4,
        }
        return Settings(**(known | changes))

    def lose_database(self) -> None:
        """Where the file was, nothing can be opened any more."""
        file = Path(self.database_url.removeprefix("sqlite:///"))
        file.unlink()
        file.mkdir()


Scenario = Callable[[Bench], Awaitable[httpx.Response]]


def asked(method: str, path: str, *, is_caller: bool = True, **request: Any) -> Scenario:
    """One HTTP request that no worker hears of."""

    async def scenario(bench: Bench) -> httpx.Response:
        async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
            headers = (stack.headers if is_caller else {}) | request.pop("headers", {})
            return await stack.client.request(method, path, headers=headers, **request)

    return scenario


def hostile(expected: Expected) -> Scenario:
    """The first row of the hostile suite that ends like this."""
    case = next(case for case in HOSTILE if case.expected == expected)

    async def scenario(bench: Bench) -> httpx.Response:
        settings = bench.settings(attempt_seconds=case.attempt_seconds)
        run = Run(case, settings)
        try:
            async with running_stack(settings, run.platform) as stack:
                return await run.connect(stack)
        finally:
            run.close()

    return scenario


def performed(answer: VerifiedAccount | Exception, **parts: Any) -> Scenario:
    """One connect, on a platform that answers so."""

    async def scenario(bench: Bench) -> httpx.Response:
        async with running_stack(bench.settings(), FakePlatform([answer]), **parts) as stack:
            return await stack.connect(HANDLE, PASSWORD)

    return scenario


async def two_requests_with_one_key(bench: Bench) -> httpx.Response:
    async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
        await stack.connect(HANDLE, PASSWORD, idempotency_key="once")
        return await stack.connect(HANDLE, "another", idempotency_key="once")


async def the_same_account_twice(bench: Bench) -> httpx.Response:
    async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
        await stack.connect(HANDLE, PASSWORD)
        return await stack.connect(f"@{HANDLE}", PASSWORD)


async def another_accounts_credentials(bench: Bench) -> httpx.Response:
    platform = FakePlatform([verified(), verified("did:plc:bob", "bob.test")])
    async with running_stack(bench.settings(), platform) as stack:
        account_id = (await stack.connect(HANDLE, PASSWORD)).json()["id"]
        body = {"credentials": {"handle": "bob.example.com", "app_password": PASSWORD}}
        return await stack.client.post(f"/v1/accounts/{account_id}/reconnect", json=body, headers=stack.headers)


async def a_profile_with_an_account(bench: Bench) -> httpx.Response:
    async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
        profile_id = (await stack.connect(HANDLE, PASSWORD)).json()["profile_id"]
        return await stack.client.delete(f"/v1/profiles/{profile_id}", headers=stack.headers)


async def a_session(bench: Bench, scopes: str) -> httpx.Response:
    """Of an account, asked for by a key with these scopes; no worker hears of it."""
    async with running_stack(bench.settings(sync_wait_seconds=0.1), FakePlatform([verified()])) as stack:
        stack.tenant = make_tenant(stack.database, scopes=scopes)
        account_id = insert_account(stack.database, stack.tenant)
        return await stack.client.post(f"/internal/accounts/{account_id}/session", headers=stack.headers)


async def one_wrong_password_too_many(bench: Bench) -> httpx.Response:
    client = redis_client(bench.valkey.url)
    limits = LoginLimits(client, per_account=Rate(1, 900), per_workspace=Rate(100, 900))
    rejecting = FakePlatform([errors.CredentialsRejected()], failing_account="did:plc:alice")
    async with running_stack(bench.settings(), rejecting, login_limits=limits) as stack:
        await stack.connect(HANDLE, "wrong")
        answer = await stack.connect(HANDLE, "wrong too")
    client.close()
    return answer


class RefusingQueue(InlineQueue):
    """A queue that cannot be reached."""

    def send(self, task_id: str) -> None:
        raise QueueUnavailable(details={"task_id": task_id})


async def no_queue(bench: Bench) -> httpx.Response:
    return await performed(verified(), queue=RefusingQueue())(bench)


async def no_database(bench: Bench) -> httpx.Response:
    """The database goes away once the process runs."""
    async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
        stack.database.close()
        bench.lose_database()
        return await stack.connect(HANDLE, PASSWORD)


async def a_key_that_has_not_arrived(bench: Bench) -> httpx.Response:
    """At the worker, in all the time that the task has."""
    # Less than a task waits for a key, and far more than until it is claimed.
    settings = bench.settings(interactive_task_seconds=4.0)
    ring = open_key_store(settings).load_ring()
    older = ring.model_copy(update={"sealing": (ring.sealing[0].model_copy(update={"id": "s0"}),)})
    async with running_stack(settings, FakePlatform([verified()]), keys=older) as stack:
        return await stack.connect(HANDLE, PASSWORD)


class SlowPlatform(FakePlatform):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__([verified()])
        self.may_answer = threading.Event()

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        assert self.may_answer.wait(30)
        return super().connect(credentials, deadline=deadline, before_login=before_login)


async def a_caller_who_waits_less_than_it_takes(bench: Bench) -> httpx.Response:
    platform = SlowPlatform()
    async with running_stack(bench.settings(sync_wait_seconds=0.1), platform) as stack:
        answer = await stack.connect(HANDLE, PASSWORD)
        platform.may_answer.set()
    return answer


class LateQueue(InlineQueue):
    """Delivers when the task's time is over."""

    stack: Stack

    def send(self, task_id: str) -> None:
        with self.stack.database.write() as connection:
            connection.execute(update(connect_tasks).values(expires_at=from_now(-1)))
        super().send(task_id)


async def a_message_that_comes_too_late(bench: Bench) -> httpx.Response:
    queue = LateQueue()
    async with running_stack(bench.settings(), FakePlatform([verified()]), queue=queue) as queue.stack:
        return await queue.stack.connect(HANDLE, PASSWORD)


async def a_batch_that_is_canceled(bench: Bench) -> httpx.Response:
    """What is told of its row, as an answer of its own."""
    async with running_stack(bench.settings(), FakePlatform([verified()])) as stack:
        body = {"platform": "bluesky", "items": [{"handle": HANDLE, "app_password": PASSWORD}]}
        accepted = await stack.client.post("/v1/connect/batches", json=body, headers=stack.headers)
        batch = accepted.headers["Location"]
        canceled = await stack.client.post(f"{batch}/cancel", headers=stack.headers)
        assert canceled.json()["data"]["status"] == "canceled"
        results = await stack.client.get(f"{batch}/results", headers=stack.headers)
    (row,) = results.json()["data"]
    request_id = results.json()["request_id"]
    told = {"error": row["error"], "request_id": request_id}
    return httpx.Response(row["error"]["http_status"], json=told, headers={"X-Request-Id": request_id})


SCENARIOS: dict[type[ConnectorError], Scenario] = {
    errors.Unauthorized: asked("POST", CONNECT, is_caller=False, json={}),
    errors.ValidationFailed: asked("POST", CONNECT, json={"platform": "bluesky", "credentials": {"handle": 5}}),
    errors.BadRequest: asked("POST", CONNECT, json={}, headers={"Idempotency-Key": "two words"}),
    errors.NotFound: asked("GET", "/v1/connect/tasks/ct_nowhere"),
    errors.MethodNotAllowed: asked("DELETE", CONNECT),
    errors.PayloadTooLarge: asked("POST", CONNECT, json={"padding": "x" * 1024 * 1024}),
    errors.UnsupportedMediaType: asked("POST", CONNECT, content=b"<a/>", headers={"Content-Type": "text/xml"}),
    errors.IdempotencyKeyReused: two_requests_with_one_key,
    errors.RateLimited: one_wrong_password_too_many,
    errors.InternalError: performed(RuntimeError("a bug")),
    errors.QueueUnavailable: no_queue,
    errors.ServiceUnavailable: no_database,
    errors.KeyUnavailable: a_key_that_has_not_arrived,
    errors.ConnectTimeout: a_caller_who_waits_less_than_it_takes,
    errors.TaskExpired: a_message_that_comes_too_late,
    errors.CredentialsRejected: hostile(REJECTED),
    errors.AlreadyConnected: the_same_account_twice,
    errors.InvalidHandle: hostile(refused("invalid_handle")),
    errors.HandleNotFound: hostile(refused("handle_not_found")),
    errors.HandleMismatch: hostile(refused("handle_mismatch")),
    errors.IdentityUnusable: hostile(refused("identity_unusable")),
    errors.HostNotAllowed: hostile(refused("host_not_allowed")),
    errors.MainPasswordRejected: hostile(refused("main_password_rejected")),
    errors.AccountUnavailable: hostile(refused("account_unavailable")),
    errors.UpstreamFailed: hostile(FAILED),
    errors.HostFailing: performed(errors.HostFailing(retry_after=2)),
    errors.UpstreamRateLimited: hostile(LIMITED),
    errors.OutOfBudget: performed(errors.OutOfBudget(retry_after=60)),
    errors.Canceled: a_batch_that_is_canceled,
    errors.AnotherAccount: another_accounts_credentials,
    errors.ProfileInUse: a_profile_with_an_account,
    errors.ProfileNameTaken: asked("POST", "/v1/profiles", json={"name": "Default"}),
    errors.Forbidden: partial(a_session, scopes=""),
    errors.SessionTimeout: partial(a_session, scopes="sessions"),
    errors.NoHostedForm: asked(
        "POST", "/v1/connect/sessions", json={"platform": "bluesky", "external_user_id": "user-1"}
    ),
}


@pytest.fixture
def bench(tmp_path: Path, sqlite_url: str, valkey: Valkey) -> Bench:
    with valkey.client() as client:
        client.flushall()
    keys_file = tmp_path / "keys.json"
    generate_keys(open_key_store(Settings(keys_file=keys_file)), Environment.PRODUCTION)
    return Bench(keys_file, sqlite_url, valkey)


@pytest.mark.parametrize("kind", SCENARIOS, ids=lambda kind: kind.__name__)
async def test_reaches_the_caller(kind: type[ConnectorError], bench: Bench) -> None:
    answer = await SCENARIOS[kind](bench)

    said = outcome(answer)
    assert (said.code, answer.json()["error"]["error_source"]) == (kind.code, kind.source)
    assert said.status == CONTRACT[kind.code]
    if issubclass(kind, InvalidIdentity):
        assert said.issue == kind.issue_code
    if said.status in {429, 503, 504}:
        assert int(answer.headers["Retry-After"]) >= 1


def concrete(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    """What can be raised: the leaves, and whoever has a code of its own above them."""
    children = kind.__subclasses__()
    if not children or ("code" in vars(kind) and kind is not InvalidIdentity):
        yield kind
    for child in children:
        yield from concrete(child)


def test_no_error_is_without_a_scenario() -> None:
    tree = {kind for kind in concrete(ConnectorError) if kind.__module__ == errors.__name__}
    # What is only said of accounts that are connected.
    tree -= {errors.ReconnectRequired, errors.SessionEnded, errors.AccountMoved}
    assert tree == set(SCENARIOS)
    assert {kind.issue_code for kind in tree if issubclass(kind, InvalidIdentity)} == ISSUES


def test_statuses_are_those_of_the_contract() -> None:
    assert STATUS == CONTRACT
