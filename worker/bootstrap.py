"""The composition root: everything a worker process holds, built once."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import redis

from connections.db import Database
from connections.dispatching import Dispatching
from connections.ending import Ending
from connections.keeping import Keeping
from connections.refresh_dates import next_refresh_in, token_left
from connections.repository.retention import retentions
from connections.session_answers import SessionAnswers
from connections.settings import Settings
from connections.settlement import Settlement
from connections.vault import Followed, Opener, TokenCipher, ensure_development_keys, open_key_store
from connections.webhooks.delivering import Deliveries
from messaging.depth import QueueDepth
from worker import process
from worker.announce import Announcer
from worker.bulkhead import Bulkhead
from worker.dispatch import Dispatcher, SendRows
from worker.dispatch_turn import Turns
from worker.egress import Egress
from worker.ending import LEASE_SECONDS, Ender
from worker.heartbeat import Heartbeat
from worker.hosts import host_classes
from worker.last_begun import LastBegun
from worker.login_limits import LoginLimits
from worker.metrics import WorkerMetrics
from worker.open_session import OPEN_LEASE_SECONDS, SessionOpener
from worker.pacing import Pacer
from worker.perform import Performer
from worker.platforms.base import Platform, build_platforms
from worker.prune import Pruner
from worker.redis_client import redis_client
from worker.refreshing import Refresher
from worker.running import RUNNING
from worker.session_keeper import SessionKeeper
from worker.sessions import KeptSessions, LiveSessions
from worker.shutdown import Shutdown
from worker.sweep import SendTask, Sweeper
from worker.ticks import Ticks
from worker.watchdog import Watchdog, limits
from worker.webhooks.delivering import DELIVERY_LEASE_SECONDS, MOST_RUNS, Deliverer
from worker.webhooks.sending import Sender

# What settling may take on top of the attempt: a lease must outlive both.
_SETTLING_SECONDS = 15.0

# Of so many threads one may wait for receivers of webhooks.
_THREADS_PER_DELIVERY = 8

# Threads spend most of an attempt waiting for the platform; a transaction takes milliseconds.
_DATABASE_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of one worker process."""

    performer: Performer
    dispatcher: Dispatcher
    sweeper: Sweeper
    ticks: Ticks
    pruner: Pruner
    deliverer: Deliverer
    ender: Ender
    refresher: Refresher
    sessions: LiveSessions
    session_opener: SessionOpener
    shutdown: Shutdown
    watchdog: Watchdog
    last_begun: LastBegun
    redis: redis.Redis
    database: Database
    platforms: Mapping[str, Platform]
    pacer: Pacer
    metrics: WorkerMetrics

    def close(self) -> None:
        self.watchdog.close()
        self.deliverer.close()
        for platform in self.platforms.values():
            platform.close()
        self.redis.close()
        self.database.close()


def build_worker(
    settings: Settings,
    send: SendTask,
    send_rows: SendRows,
    ask: Callable[[], None],
    depth_with: Callable[[redis.Redis], QueueDepth],
    *,
    ask_for_refresh: Callable[[], None],
) -> Worker:
    """`send` puts a task's message into a queue, `send_rows` some with rows of batches, `ask` one for the dispatcher,
    `ask_for_refresh` one for sessions that are due.
    `depth_with` gives the way to count them, which may need the client of Redis.

    Raises `SettingsError` when the keys are missing or not for this use.
    """
    ensure_development_keys(settings)
    store = open_key_store(settings)
    keys = Followed(store.load_ring, every=store.poll_seconds)
    database = Database(settings.database, pool_size=min(settings.worker_threads, _DATABASE_CONNECTIONS))
    cipher = TokenCipher(keys)
    settlement = Settlement(
        database,
        Opener(keys),
        cipher,
        lease_seconds=settings.attempt_seconds + _SETTLING_SECONDS,
        refresh_in=lambda session: next_refresh_in(
            settings.refresh_seconds, random.uniform, token_left=token_left(session, time.time())
        ),
    )
    client = redis_client(settings.redis)
    announcer = Announcer(client)
    own_hosts = host_classes(settings)
    metrics = WorkerMetrics(own_hosts)
    pacer = Pacer(
        client,
        budget=settings.host_budget,
        interactive_share=settings.interactive_share,
        egress_address=settings.egress_address,
        bulkhead=Bulkhead(own_hosts),
        requested=metrics.requested,
    )
    platforms = build_platforms(settings, pacer)
    shutdown = Shutdown(RUNNING, settlement, grace_seconds=settings.grace_seconds)
    performer = Performer(
        settlement,
        platforms,
        announcer,
        LoginLimits(
            client,
            per_account=settings.failed_logins_per_account,
            per_workspace=settings.failed_logins_per_workspace,
        ),
        attempt_seconds=settings.attempt_seconds,
        is_stopping=process.is_stopping,
        pause=shutdown.pause,
        batch_retry_seconds=settings.batch_retry_seconds,
        metrics=metrics,
    )
    keeper = SessionKeeper(
        Keeping(database, cipher),
        platforms,
        every=settings.refresh_seconds,
        attempt_seconds=settings.attempt_seconds,
        is_stopping=process.is_stopping,
        pause=shutdown.pause,
        metrics=metrics,
    )
    sessions = KeptSessions(keeper, pause=shutdown.pause)
    metrics.watch(
        database,
        partial(pacer.rooms, own_hosts, within=settings.host_budget.seconds),
        threads=settings.worker_threads,
        busy=lambda: len(RUNNING.by_thread()),
        platforms=platforms,
    )
    return Worker(
        performer=performer,
        dispatcher=Dispatcher(
            Dispatching(database),
            pacer,
            Turns(client, depth_with(client)),
            budget=settings.host_budget,
            send=send_rows,
            ask=ask,
        ),
        sweeper=Sweeper(settlement, announcer, send, metrics),
        ticks=Ticks(client),
        pruner=Pruner(
            database,
            retentions(
                task_seconds=settings.task_retention_days * 86400.0,
                audit_seconds=settings.audit_retention_days * 86400.0,
            ),
            is_stopping=process.is_stopping,
            pause=shutdown.pause,
        ),
        deliverer=Deliverer(
            Deliveries(database, Opener(keys), lease_seconds=DELIVERY_LEASE_SECONDS),
            # Apart from the platforms' way out: what strangers' receivers do is no reason to close a connection there.
            Sender(Egress(settings)).send,
            is_stopping=process.is_stopping,
            runs=max(1, min(MOST_RUNS, settings.worker_threads // _THREADS_PER_DELIVERY)),
            metrics=metrics,
        ),
        ender=Ender(
            Ending(database, TokenCipher(keys), lease_seconds=LEASE_SECONDS),
            platforms,
            metrics,
            is_stopping=process.is_stopping,
        ),
        refresher=Refresher(
            keeper, threads=settings.worker_threads, ask=ask_for_refresh, is_stopping=process.is_stopping
        ),
        sessions=sessions,
        session_opener=SessionOpener(SessionAnswers(database, lease_seconds=OPEN_LEASE_SECONDS), sessions, announcer),
        shutdown=shutdown,
        watchdog=Watchdog(
            RUNNING,
            settlement,
            Heartbeat(client, threads=settings.worker_threads, address=settings.egress_address),
            shutdown,
            limits(settings),
        ),
        last_begun=LastBegun(client, is_asked_for=bool(settings.broker_url)),
        redis=client,
        database=database,
        platforms=platforms,
        pacer=pacer,
        metrics=metrics,
    )
