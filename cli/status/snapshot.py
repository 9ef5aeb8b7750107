"""One look at tables and Redis."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import redis

from cli.queue_url import find_redis_url
from cli.reasons import reason
from cli.unread import unread_messages
from connections.bulk.reading import summary
from connections.contract import Batch, TaskStatus
from connections.db import Database
from connections.errors import QueueUnavailable
from connections.messages import Queue
from connections.repository import dispatch, observing
from connections.repository.observing import Ending, HostQueue, InFlightTally
from connections.settings import Settings, SettingsError
from connections.sqltime import database_time
from worker.dispatch_plan import UNKNOWN, Sent, chunks_under_way
from worker.heartbeat import live_threads
from worker.hosts import host_classes
from worker.pacing import Pacer, Room
from worker.redis_client import redis_client

# What is said of a host's budget: how many requests batches may begin within so many seconds.
BUDGET_SECONDS = 60.0

ENDINGS_SECONDS = 60.0
_ENDINGS = 10_000

# Whose rows are counted by host: the oldest batches, because each may have ten thousand.
_BATCHES_BY_HOST = 20
_HOSTS = 50


@dataclass(frozen=True, slots=True)
class Moving:
    """What Redis tells: messages unread by queue, the threads of each living worker, what hosts have for batches."""

    messages: Mapping[str, int]
    threads: tuple[int, ...]
    rooms: Mapping[str, Room]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now` is the database's clock. `moving` is a line that says why there is nothing to tell, where Redis is away.

    Of `open_batches`, whose rows have not all ended, `batches` are the oldest. `under_way` counts by host the rows that
    are sent and have not ended.
    """

    now: datetime
    in_flight: tuple[InFlightTally, ...]
    batches: tuple[Batch, ...]
    open_batches: int
    hosts: tuple[HostQueue, ...]
    under_way: Mapping[str, int]
    endings: tuple[Ending, ...]
    moving: Moving | str


def free_threads(snapshot: Snapshot) -> int | None:
    """About how many of the workers' threads have nothing to do; None while Redis is away.

    A caller's row has a thread to itself, rows of batches share one as they share a message.
    """
    if isinstance(snapshot.moving, str):
        return None
    alone = sum(
        one.rows for one in snapshot.in_flight if one.queue == Queue.CONNECT and one.status is TaskStatus.RUNNING
    )
    sent = [Sent("", host, rows) for host, rows in snapshot.under_way.items()]
    together = chunks_under_way(sent, snapshot.moving.rooms).total()
    return max(0, sum(snapshot.moving.threads) - alone - together)


class Observer:
    """Looks as often as it is asked to."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._own_hosts = host_classes(settings)
        self._settings = settings

    def look(self, *, batches: int) -> Snapshot:
        """With the oldest `batches` that run. Raises `ServiceUnavailable` when the database does not answer."""
        with self._database.read() as connection:
            now = database_time(connection)
            in_flight = observing.in_flight_by_queue(connection)
            running = observing.running_batches(connection, batches)
            open_ids = [batch.id for batch in dispatch.open_batches(connection)]
            hosts = observing.waiting_by_host(connection, open_ids[:_BATCHES_BY_HOST])[:_HOSTS]
            under_way = Counter[str]()
            for (_, host), rows in dispatch.rows_on_their_way(connection).items():
                under_way[host] += rows
            endings = observing.endings(connection, seconds=ENDINGS_SECONDS, count_to=_ENDINGS)
        names = {*self._own_hosts, *(one.host for one in hosts), *under_way} - {UNKNOWN}
        return Snapshot(
            now=now,
            in_flight=tuple(in_flight),
            batches=tuple(summary(batch.row, batch.tallies) for batch in running),
            open_batches=len(open_ids),
            hosts=tuple(hosts),
            under_way=under_way,
            endings=tuple(endings),
            moving=self._moving(names),
        )

    def _moving(self, hosts: set[str]) -> Moving | str:
        try:
            messages = unread_messages(self._settings, self._redis)
            threads = tuple(live_threads(self._redis))
        except (redis.RedisError, QueueUnavailable, SettingsError) as error:
            self.close()  # another `connector up` has another Redis
            return reason(error)
        return Moving(messages, threads, self._pacer.rooms_everywhere(hosts, within=BUDGET_SECONDS))

    @cached_property
    def _redis(self) -> redis.Redis:
        """Raises `SettingsError` when nobody says where it is."""
        return redis_client(find_redis_url(self._settings))

    @cached_property
    def _pacer(self) -> Pacer:
        return Pacer(
            self._redis,
            budget=self._settings.host_budget,
            interactive_share=self._settings.interactive_share,
            egress_address=self._settings.egress_address,
        )

    def close(self) -> None:
        """Forgets what it holds of Redis; asked again, it finds it anew."""
        self.__dict__.pop("_pacer", None)
        client: redis.Redis | None = self.__dict__.pop("_redis", None)
        if client is not None:
            client.close()
