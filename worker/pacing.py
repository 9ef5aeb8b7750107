"""Every request's turn: a budget per host and egress address in Redis, shared by all workers. ADR 16.

Batches take evenly spaced turns. Who waits goes ahead of the line, by a share of the budget at most, and batches pay it
back by waiting. What a host says about its limits slows that down and never speeds it up.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import redis
import structlog

from connections.errors import OutOfBudget
from connections.rate import Rate
from worker import spans
from worker.bulkhead import Bulkhead
from worker.heartbeat import live_addresses
from worker.pace import Answered, bulk, is_bulk, promptly
from worker.pacing_ahead import TurnsAhead
from worker.pacing_headers import is_hosts, read_bucket, read_stop
from worker.pacing_scripts import LEARN, NO_LOGIN, NO_LOGIN_LEFT, NO_TURN, ROOMS, TAKE
from worker.ttl_cache import TtlCache

__all__ = ["Pacer", "Room", "bulk", "is_bulk", "promptly"]

log = structlog.get_logger()

_PREFIX = "connector:pace"

# What a thread sleeps for its turn at most. Longer waits leave no thread behind.
LONGEST_SLEEP_SECONDS = 2.0

# Kept free of the budget: half for requests that a busy machine or network delays, so that they fall into the same
# window of the host as later ones; half for making up for turns that nobody was there to take.
_KEPT_FREE = 0.02

# Requests to a host that hides what is left of its own limit, for one look at it.
_LOOK_EVERY = 100

# Logins to one account from one address. Bluesky documents 30 and 300 a day; 100 a day have been seen.
LOGIN_LIMITS = (Rate(30, 300), Rate(100, 86_400))
_LOGIN_SIZES = [number for limit in LOGIN_LIMITS for number in (limit.count, limit.seconds * 1000)]

# Hosts are named by strangers; the latest are remembered.
_HOSTS = 4096


@dataclass(frozen=True, slots=True)
class Room:
    """What a host has for batches: `requests` that may begin within the time asked for, `rate` per second now, `wait`
    in seconds until the next may begin, and `seconds` that its answers take, None while that is not known."""

    requests: float
    rate: float
    wait: float
    seconds: float | None


class Pacer:
    """One per worker process, used by its threads. Implements `worker.pace.Pace`.

    While Redis is away nobody waits: it also carries the messages, so what still runs ends soon.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        budget: Rate,
        interactive_share: float,
        egress_address: str,
        bulkhead: Bulkhead | None = None,
        requested: Callable[[str, int | None, float], None] = lambda host, status, seconds: None,  # noqa: ARG005
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`egress_address` names the address the requests come from: who has the same shares the budgets.

        `requested` is told of each request: its host, the status it was answered with, if it was, and what it took.
        `clock` gives epoch seconds, which headers speak of, and `monotonic` those that deadlines are in.
        """
        self._redis = client
        self._take_script = client.register_script(TAKE)
        self._learn_script = client.register_script(LEARN)
        self._rooms_script = client.register_script(ROOMS)
        self._no_login_script = client.register_script(NO_LOGIN)
        kept_free = max(1.0, _KEPT_FREE * budget.count)
        self._window = float(budget.seconds)
        self._interval = self._window / max(budget.count - kept_free, budget.count / 2)
        self._lag = self._interval * kept_free / 2
        self._ahead = LONGEST_SLEEP_SECONDS + interactive_share * budget.count * self._interval
        self._turns_ahead = TurnsAhead(
            client,
            numbers=[*map(_microseconds, (self._interval, self._window, self._lag))],
            windows=_LOGIN_SIZES,
            look_every=_LOOK_EVERY,
        )
        self._address = egress_address
        self._bulkhead = bulkhead or Bulkhead()
        self._requested = requested
        self._sleep = sleep
        self._clock = clock
        self._monotonic = monotonic
        # What this process has told lately, what it is to look at, and where it was told to stop.
        self._told: TtlCache[tuple[str, bool], bool] = TtlCache(_HOSTS, monotonic)
        self._looks: TtlCache[str, bool] = TtlCache(_HOSTS, monotonic)
        self._stopped: TtlCache[str, bool] = TtlCache(_HOSTS, monotonic)
        self._tell_every = min(1.0, self._window / 100)
        self._is_away = False
        self._lock = threading.Lock()

    @contextmanager
    def request(self, host: str, call: str, *, deadline: float, login_of: str | None = None) -> Iterator[Answered]:
        """See `worker.pace.Pace`. Only a batch's request needs a place at the host, too."""
        if not is_bulk():
            self.take(host, deadline=deadline, login_of=login_of)
            with self._watched(host, call) as answered:
                yield answered
            return
        self._bulkhead.check(host)
        self.take(host, deadline=deadline, login_of=login_of)
        with self._placed(host, login_of), self._watched(host, call) as answered:
            yield answered

    @contextmanager
    def ahead(self, host: str, logins_of: Collection[str]) -> Iterator[None]:
        """See `worker.pace.Pace`."""
        key = self._key(host)
        try:
            if self._turns_ahead.take(key, {account: self._login_keys(host, account) for account in logins_of}):
                self._looks.put(host, True, self._window)
        except redis.RedisError as error:
            self._note(error)
        try:
            yield
        finally:
            try:
                self._turns_ahead.give_back(key)
            except redis.RedisError as error:
                self._note(error)

    def take(self, host: str, *, deadline: float, login_of: str | None = None) -> None:
        """Takes one request out of the host's budget and returns when it may begin, at most two seconds later. With
        `login_of` one login out of the account's budgets as well.

        Raises `OutOfBudget`, and takes nothing, when that is longer or after `deadline`, or, without a host, when the
        account has had too many logins.
        """
        if login_of is not None and self._turns_ahead.use(self._key(host), login_of):
            if self._stopped.get(host) is None:
                return
            self._give_back_login(host, login_of)
        patience = max(0.0, min(LONGEST_SLEEP_SECONDS, deadline - self._monotonic()))
        in_batch = is_bulk()
        ahead = 0.0 if in_batch else self._ahead
        numbers = (self._interval, self._window, self._lag, ahead, patience)
        logins = [] if login_of is None else self._login_keys(host, login_of)
        limits = [] if login_of is None else _LOGIN_SIZES
        try:
            verdict, wait, look = self._take_script(
                keys=[self._key(host), *logins],
                args=[*map(_microseconds, numbers), int(in_batch), _LOOK_EVERY, *limits],
            )
        except redis.RedisError as error:
            self._note(error)
            return
        self._note(None)
        seconds = int(wait) / 1e6
        if verdict == NO_LOGIN_LEFT:
            raise OutOfBudget(
                "This account has been logged in to too often from here, so its server was not asked.",
                retry_after=seconds,
            )
        if verdict == NO_TURN:
            raise OutOfBudget(host=host, retry_after=seconds)
        if look:
            self._looks.put(host, True, self._window)
        if seconds:
            with spans.turn(seconds, in_batch=in_batch):
                self._sleep(seconds)
            stopped = self._stopped.get(host)
            if stopped is not None:
                self._give_back_login(host, login_of)
                raise OutOfBudget(host=host, retry_after=max(0.0, stopped.until - self._monotonic()))

    def learn(self, host: str, call: str, status: int, headers: Mapping[str, str], seconds: float) -> None:
        """Takes notice of an answer after `seconds`; `call` is the request's HTTP method.

        Told to the other workers about once a second, and at once if it is a refusal.
        """
        now = self._clock()
        bucket = read_bucket(headers, now=now)
        hosts = bucket if bucket is not None and is_hosts(bucket, call) else None
        if status != 429:
            news = (host, hosts is not None)
            if self._told.get(news) is not None:
                return
            self._told.put(news, True, self._tell_every)
        stop = read_stop(bucket, call, headers, now=now, longest=self._window) if status == 429 else None
        if stop is not None:
            self._stopped.put(host, True, stop.seconds)
            log.warning("host_refuses", host=host, seconds=round(stop.seconds, 3))
        try:
            self._learn_script(
                keys=[self._key(host)],
                args=[
                    *map(_microseconds, (self._interval, self._window, seconds)),
                    _microseconds(stop.seconds) if stop else -1,
                    stop.used if stop and stop.used is not None else -1,
                    *((hosts.limit, hosts.remaining, _microseconds(hosts.left)) if hosts else (0, 0, 0)),
                    _microseconds(hosts.window) if hosts else 0,
                    int(bucket is not None),
                ],
            )
        except redis.RedisError as error:
            self._note(error)

    def rooms(self, hosts: Collection[str], *, within: float) -> dict[str, Room]:
        """What each of `hosts` has for batches within so many seconds from this worker's address. All there is, while
        Redis is away."""
        return {host: room for (_, host), room in self._rooms([self._address], hosts, within).items()}

    def rooms_everywhere(self, hosts: Collection[str], *, within: float) -> dict[str, Room]:
        """As `rooms`, from the addresses of all living workers together."""
        try:
            addresses = live_addresses(self._redis) or [self._address]
        except redis.RedisError as error:
            self._note(error)
            addresses = [self._address]
        rooms = self._rooms(addresses, hosts, within)
        return {host: pooled([rooms[address, host] for address in addresses]) for host in hosts}

    def _rooms(self, addresses: Collection[str], hosts: Collection[str], within: float) -> dict[tuple[str, str], Room]:
        names = [(address, host) for address in addresses for host in hosts]
        if not names:
            return {}
        try:
            found: Sequence[Sequence[bytes]] = self._rooms_script(
                keys=[_key(address, host) for address, host in names],
                args=[_microseconds(self._interval), _microseconds(self._window)],
            )
        except redis.RedisError as error:
            self._note(error)
            found = [(b"0", str(_microseconds(self._interval)).encode(), b"-1")] * len(names)
        rooms = {}
        for name, figures in zip(names, found, strict=True):
            wait, interval, seconds = (int(figure) / 1e6 for figure in figures)
            requests = max(0.0, within - wait) / interval
            rooms[name] = Room(requests, 1 / interval, wait, seconds if seconds >= 0 else None)
        return rooms

    def wants_look(self, host: str) -> bool:
        """See `worker.pace.Pace`: once in a hundred requests, where a host hides its own bucket behind others."""
        return self._looks.pop(host)

    @contextmanager
    def _placed(self, host: str, login_of: str | None) -> Iterator[None]:
        """A place at the host. Without one the request is never made, and no login counts."""
        has_place = False
        try:
            with self._bulkhead.hold(host):
                has_place = True
                yield
        finally:
            if not has_place:
                self._give_back_login(host, login_of)

    @contextmanager
    def _watched(self, host: str, call: str) -> Iterator[Answered]:
        started = self._monotonic()
        answer: list[tuple[int, Mapping[str, str]]] = []
        try:
            yield lambda status, headers: answer.append((status, headers))
        finally:
            seconds = self._monotonic() - started
            self._requested(host, answer[0][0] if answer else None, seconds)
            if answer:
                self._bulkhead.answered(host, seconds)
                self.learn(host, call, *answer[0], seconds)
            else:
                self._bulkhead.failed(host, seconds)

    def _give_back_login(self, host: str, login_of: str | None) -> None:
        if login_of is None:
            return
        try:
            self._no_login_script(keys=self._login_keys(host, login_of))
        except redis.RedisError as error:
            self._note(error)

    def _key(self, host: str) -> str:
        return _key(self._address, host)

    def _login_keys(self, host: str, account: str) -> list[str]:
        return [f"{_PREFIX}:{self._address}:{host}:{account}:{limit.seconds}" for limit in LOGIN_LIMITS]

    def _note(self, error: redis.RedisError | None) -> None:
        """One line when Redis goes, however many requests find it away."""
        is_away = error is not None
        if self._is_away == is_away:
            return
        with self._lock:
            has_changed, self._is_away = self._is_away != is_away, is_away
        if has_changed and error is not None:
            log.warning("requests_not_paced", cause=type(error).__name__)


def pooled(rooms: Sequence[Room]) -> Room:
    """What there is at several addresses together. A message goes to any of them, most likely to one that is free."""
    known = [room.seconds for room in rooms if room.seconds is not None]
    return Room(
        requests=sum(room.requests for room in rooms),
        rate=sum(room.rate for room in rooms),
        wait=min(room.wait for room in rooms),
        seconds=sum(known) / len(known) if known else None,
    )


def _key(address: str, host: str) -> str:
    return f"{_PREFIX}:{address}:{host}"


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
