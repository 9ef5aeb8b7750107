"""The API under the fuzzer: all of it real, but for a queue that settles each task at once, one this way, one that."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from api_shim.app import create_app
from api_shim.waiting import Waiter
from connections import errors
from connections.contract import Issue, ProviderError
from connections.errors import ConnectorError, QueueUnavailable
from connections.migrate import upgrade
from connections.outcome import Outcome
from connections.repository.tasks import TaskRow
from connections.settings import Settings
from tests.doubles import FakeBroker, FakeQueue, StubWorker
from tests.factories import Tenant, make_tenant, verified

# The longest that anybody waits here, whatever was preferred.
_WAIT_SECONDS = 0.05

_ISSUE = Issue(field="credentials.handle", code="invalid_handle", message="No.")
_PROVIDER = ProviderError(provider="bluesky", http_status=401, code="AuthenticationRequired", is_transient=False)

FAILURES: tuple[ConnectorError, ...] = (
    errors.CredentialsRejected(provider=_PROVIDER),
    errors.AlreadyConnected("This one is.", details={"account_id": "sa_1"}),
    errors.HandleNotFound(hint="Look again."),
    errors.MainPasswordRejected(),
    errors.ValidationFailed(issues=[_ISSUE, _ISSUE]),
    errors.UpstreamFailed(),
    errors.UpstreamRateLimited(retry_after=7200),
    errors.TaskExpired(),
)
_CONNECTED, _RUNNING, _RETRYING, _UNSENT = range(len(FAILURES), len(FAILURES) + 4)


class Decider(StubWorker):
    """Settles a task by its identifier, so that a request that is sent again gets the same answer again."""

    def settle(self, task_id: str) -> None:
        task = self.claim(task_id)
        identifier = self._settlement.open_credentials(task).identifier
        match crc32(identifier.encode()) % (_UNSENT + 1):
            case end if end < len(FAILURES):
                assert self._settlement.fail(task, Outcome.of_error(FAILURES[end].describe()))
            case end if end == _CONNECTED:
                assert self._settlement.succeed(task, verified(external_id=f"did:plc:{task_id}", name=identifier))
            case end if end == _RETRYING:
                error = Outcome.of_error(errors.UpstreamFailed().describe())
                assert self._settlement.postpone(task, error, 3600)
            case end if end == _UNSENT:
                raise QueueUnavailable(details={"task_id": task_id}, retry_after=10)
        self.announce(task)


class Observed:
    """ASGI middleware: counts the answers by method, path and status."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.answers: Counter[tuple[str, str, int]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path_format", "")
                self.answers[scope["method"], route, message["status"]] += 1
            await send(message)

        await self.app(scope, receive, observe if scope["type"] == "http" else send)


@contextmanager
def running(directory: Path) -> Iterator[tuple[Observed, Tenant, FakeQueue]]:
    """The app over a new SQLite database, one of its callers, and the queue that knows which tasks there are.

    Whoever sends requests runs the lifespan.
    """
    url = f"sqlite:///{directory / 'connector.db'}"
    upgrade(url)
    settings = Settings(
        var_dir=directory, database_url=url, redis_url="redis://127.0.0.1:1/0", sync_wait_seconds=_WAIT_SECONDS
    )
    queue, broker = FakeQueue(), FakeBroker()
    app = create_app(settings, queue=queue, broker=broker)
    database = app.state.shim.database
    queue.on_send = Decider(settings, database, broker.publish).settle
    real_wait = Waiter.wait

    async def wait(waiter: Waiter, seconds: float, hung_up: asyncio.Future[None]) -> TaskRow | None:
        return await real_wait(waiter, min(seconds, _WAIT_SECONDS), hung_up)

    with patch.object(Waiter, "wait", wait):
        yield Observed(app), make_tenant(database), queue
