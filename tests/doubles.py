"""What stands in for Redis and for the workers."""

import asyncio
from collections.abc import Callable

from connections.db import Database
from connections.errors import ConnectorError, QueueUnavailable
from connections.messages import reply_channel
from connections.outcome import Outcome
from connections.repository.attempts import ClaimedTask
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Opener, TokenCipher, WorkerKeys
from tests.factories import verified

Publish = Callable[[str, str], None]


class FakeQueue:
    """Keeps what is sent. `on_send` runs in the sending thread: a worker that is faster than the API."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.asked = 0
        self.asked_to_end = 0
        self.lying = 0
        self.is_down = False
        self.on_send: Callable[[str], object] = lambda task_id: None
        self.sessions: list[str] = []
        self.on_session: Callable[[str], object] = lambda request_id: None

    def send(self, task_id: str) -> None:
        if self.is_down:
            raise QueueUnavailable(details={"task_id": task_id}, retry_after=10)
        self.sent.append(task_id)
        self.on_send(task_id)

    def ask_for_dispatch(self) -> None:
        if self.is_down:
            raise QueueUnavailable
        self.asked += 1

    def ask_for_session(self, request_id: str) -> None:
        if self.is_down:
            raise QueueUnavailable
        self.sessions.append(request_id)
        self.on_session(request_id)

    def ask_to_end_sessions(self) -> None:
        if self.is_down:
            raise QueueUnavailable
        self.asked_to_end += 1

    def unread(self) -> int:
        if self.is_down:
            raise QueueUnavailable
        return self.lying

    def close(self) -> None:
        pass


class FakeBroker:
    """Pub/sub within the process, callable from any thread."""

    def __init__(self) -> None:
        self.worker_lives = True
        self.queue_age = 0.0
        self.begun = 0.0
        self.is_down = False
        self._listeners: dict[str, Callable[[str], object]] = {}

    async def listen(
        self, channel: str, *, on_message: Callable[[str], None], on_subscribed: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._listeners[channel] = lambda text: loop.call_soon_threadsafe(on_message, text)
        on_subscribed()
        await asyncio.Event().wait()

    def publish(self, channel: str, text: str) -> None:
        self._listeners[channel](text)

    async def has_worker(self) -> bool:
        if self.is_down:
            raise QueueUnavailable
        return self.worker_lives

    async def oldest_message_age(self) -> float:
        if self.is_down:
            raise QueueUnavailable
        return self.queue_age

    async def last_begun(self) -> float:
        if self.is_down:
            raise QueueUnavailable
        return self.begun

    async def close(self) -> None:
        pass


class StubWorker:
    """Settles tasks as a worker does: first the row, then the announcement. Opens no connection to any platform."""

    def __init__(self, settings: Settings, database: Database, publish: Publish) -> None:
        keys = WorkerKeys.load(settings.worker_keys_path, settings)
        self._settlement = Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=60)
        self._publish = publish
        self.request_ids: dict[str, str] = {}

    def claim(self, task_id: str) -> ClaimedTask:
        task = self._settlement.claim(task_id)
        assert task is not None
        self.request_ids[task_id] = task.request_id
        return task

    def succeed(self, task_id: str) -> None:
        """Connects the account that has the identifier for a name."""
        task = self.claim(task_id)
        name = self._settlement.open_credentials(task).identifier
        assert self._settlement.succeed(task, verified(external_id=f"did:plc:{task_id}", name=name))
        self.announce(task)

    def fail(self, task_id: str, error: ConnectorError, outcome: Outcome | None = None) -> None:
        task = self.claim(task_id)
        assert self._settlement.fail(task, outcome or Outcome.of_error(error.describe()))
        self.announce(task)

    def postpone(self, task_id: str, error: ConnectorError, delay: float) -> None:
        assert self._settlement.postpone(self.claim(task_id), Outcome.of_error(error.describe()), delay)

    def announce(self, task: ClaimedTask) -> None:
        if task.reply_to is not None:
            self._publish(reply_channel(task.reply_to), task.id)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what nothing announces. Raises `TimeoutError` after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
