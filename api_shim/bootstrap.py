"""The composition root: everything an API process holds, built once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from starlette.requests import Request

from api_shim.batch_events import BatchEvents
from api_shim.broker import Broker, RedisBroker
from api_shim.key_limit import KeyLimit
from api_shim.metrics import Metrics
from api_shim.overload import AgeOfOldest, QueueAge
from api_shim.queue import CeleryQueue, TaskQueue
from api_shim.threads import Threads
from api_shim.unseen_age import UnseenAge
from api_shim.waiting import Waiting
from connections import tracing
from connections.account_reading import Accounts
from connections.bulk.intake import BatchIntake
from connections.bulk.reading import Batches
from connections.connect_sessions.service import ConnectSessions
from connections.db import Database
from connections.disconnecting import Disconnecting
from connections.ids import new_id
from connections.messages import reply_channel
from connections.owners.profiles import Profiles
from connections.owners.workspace import Workspaces
from connections.repository.session_requests import AnsweredRequest
from connections.repository.tasks import TaskRow
from connections.service import ConnectService
from connections.session_requests import SessionRequests
from connections.settings import Settings
from connections.vault import Followed, Sealer, ensure_development_keys, open_key_store
from connections.webhooks.service import Webhooks

# Accepting is a transaction and a message, a few milliseconds each; more threads would only contend for the GIL.
_ACCEPTING_THREADS = 16
_READING_THREADS = 8
# An upload keeps its thread for as long as the body takes to come.
_IMPORTING_THREADS = 4


@dataclass(frozen=True, slots=True)
class Shim:
    """The parts of one API process."""

    id: str
    settings: Settings
    database: Database
    service: ConnectService
    connect_sessions: ConnectSessions
    queue: TaskQueue
    broker: Broker
    waiting: Waiting[TaskRow]
    session_requests: SessionRequests
    waiting_for_sessions: Waiting[AnsweredRequest]
    key_limit: KeyLimit
    queue_age: QueueAge
    accounts: Accounts
    profiles: Profiles
    workspaces: Workspaces
    batches: Batches
    batch_events: BatchEvents
    webhooks: Webhooks
    disconnecting: Disconnecting
    metrics: Metrics
    accepting: Threads
    """Stores and sends. A frozen queue blocks these threads and no others."""
    reading: Threads
    """Looks things up."""
    intake: BatchIntake
    importing: Threads
    """Takes batches in."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once this process is to end."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the background tasks going for the length of the block, then gives everything back."""
        tasks = [
            asyncio.create_task(self.waiting.run()),
            asyncio.create_task(self.waiting_for_sessions.run()),
            asyncio.create_task(self.queue_age.run()),
            asyncio.create_task(
                self.broker.listen(
                    reply_channel(self.id),
                    on_message=self._hint,
                    on_subscribed=self._hint_all,
                )
            ),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.accepting.close()
            self.reading.close()
            self.importing.close()
            self.queue.close()
            await self.broker.close()
            self.database.close()
            tracing.flush()  # here, because uvicorn ends the process by the signal that it was told to end with

    def release_after(self, grace: float) -> None:
        """Shutting down: who still waits in `grace` seconds is answered as if their wait were over."""
        self.waiting.release_after(grace)
        self.waiting_for_sessions.release_after(grace)

    def _hint(self, row_id: str) -> None:
        self.waiting.hint([row_id])
        self.waiting_for_sessions.hint([row_id])

    def _hint_all(self) -> None:
        self.waiting.hint_all()
        self.waiting_for_sessions.hint_all()


def build_shim(
    settings: Settings,
    *,
    service: ConnectService | None = None,
    queue: TaskQueue | None = None,
    broker: Broker | None = None,
) -> Shim:
    """The keyword arguments replace real parts. Raises `SettingsError` when settings or keys are missing or wrong."""
    database = Database(settings.database, pool_size=_ACCEPTING_THREADS + _READING_THREADS + _IMPORTING_THREADS)
    sealer = _sealer(settings)
    service = service or ConnectService(database, sealer, settings)
    reading = Threads("reading", size=_READING_THREADS)
    accepting = Threads("accepting", size=_ACCEPTING_THREADS)
    importing = Threads("importing", size=_IMPORTING_THREADS, backlog=8)
    waiting = Waiting(lambda task_ids: reading.run(service.finished, task_ids), capacity=settings.max_waiting_callers)
    session_requests = SessionRequests(database)
    waiting_for_sessions = Waiting(
        lambda request_ids: reading.run(session_requests.answered, request_ids), capacity=settings.max_waiting_callers
    )
    queue, broker = queue or CeleryQueue(settings), broker or RedisBroker(settings.redis)
    queue_age = QueueAge(_age_of_oldest(settings, queue, broker), limit=settings.queue_age_seconds)
    key_limit = KeyLimit(settings.key_requests)
    batches = Batches(database)
    batch_events = BatchEvents(lambda caller, batch_id: reading.run(batches.get, caller, batch_id))
    return Shim(
        id=new_id("shim"),
        settings=settings,
        database=database,
        service=service,
        connect_sessions=ConnectSessions(database, sealer),
        queue=queue,
        broker=broker,
        waiting=waiting,
        session_requests=session_requests,
        waiting_for_sessions=waiting_for_sessions,
        key_limit=key_limit,
        queue_age=queue_age,
        accounts=Accounts(database),
        profiles=Profiles(database),
        workspaces=Workspaces(database),
        batches=batches,
        batch_events=batch_events,
        webhooks=Webhooks(database, sealer, settings),
        disconnecting=Disconnecting(database),
        metrics=Metrics(
            database,
            waiting=lambda: len(waiting) + len(waiting_for_sessions),
            listening=batch_events.__len__,
            queue_age=lambda: queue_age.seconds,
            refused={
                "waiting_callers": lambda: waiting.refused + waiting_for_sessions.refused,
                "queue_age": lambda: queue_age.refused,
                "key_rate": lambda: key_limit.refused,
            },
            calls={"accepting": accepting.__len__, "reading": reading.__len__, "importing": importing.__len__},
        ),
        accepting=accepting,
        reading=reading,
        intake=BatchIntake(database, sealer, settings),
        importing=importing,
    )


def _age_of_oldest(settings: Settings, queue: TaskQueue, broker: Broker) -> AgeOfOldest:
    return UnseenAge(queue.unread, broker.last_begun) if settings.broker_url else broker.oldest_message_age


def _sealer(settings: Settings) -> Sealer:
    ensure_development_keys(settings)
    store = open_key_store(settings)
    return Sealer(Followed(store.load_excerpt, every=store.poll_seconds))


def shim_of(request: Request) -> Shim:
    """The parts of the process that serves this request."""
    shim: Shim = request.app.state.shim
    return shim
