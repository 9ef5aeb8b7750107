"""Checks of what moves: Redis, the workers, beat."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cli.ages import answer_time, lasting
from cli.doctor.findings import Finding, fail, ok, warn
from cli.doctor.storage import clock_finding, megabytes
from cli.doctor.subject import Subject
from cli.places import broker_place, redis_place
from cli.unread import unread_messages
from connections.messages import Queue
from connections.repository.observing import sweep_lag
from worker.heartbeat import live_threads
from worker.ticks import seconds_since_tick

_NEVER_EVICT = "noeviction"

# Beat wakes the sweep every two seconds. A busy machine may miss some.
_TICK_SECONDS = 15.0

# A worker whose threads are all busy gets to a tick when the next of them is free.
_BUSY_SECONDS = 60.0


def check_redis(subject: Subject) -> Finding:
    place = redis_place(subject.redis_url)
    subject.redis.ping()  # the first one has a connection to make
    started = time.monotonic()
    subject.redis.ping()
    seconds = time.monotonic() - started
    return redis_finding(subject.redis.info(), place, seconds)


def redis_finding(info: Mapping[str, Any], place: str, seconds: float) -> Finding:
    """`info` is what INFO says; `seconds` is a round trip."""
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version", "?"))
    policy = str(info.get("maxmemory_policy", "?"))
    used = int(info.get("used_memory", 0))
    found = f"{name} {version} at {place}, {answer_time(seconds)}, {megabytes(used)}, {policy}"
    facts = {"version": version, "round_trip_seconds": round(seconds, 6), "policy": policy, "bytes": used}
    if policy not in {_NEVER_EVICT, "?"}:
        advice = f"set maxmemory-policy to {_NEVER_EVICT}: it may drop messages and hosts' budgets otherwise"
        return warn(found, advice, **facts)
    return ok(found, **facts)


def check_broker(subject: Subject) -> Finding | None:
    """Nothing where Redis is the broker, which has a check of its own."""
    if not subject.settings.broker_url:
        return None
    started = time.monotonic()
    unread_messages(subject.settings, subject.redis)
    seconds = time.monotonic() - started
    place = broker_place(subject.settings.broker_url)
    return ok(f"RabbitMQ at {place}, {answer_time(seconds)} to connect and ask", seconds=round(seconds, 6))


def check_workers(subject: Subject) -> Finding:
    return workers_finding(live_threads(subject.redis), unread_messages(subject.settings, subject.redis))


def workers_finding(threads: Sequence[int], unread: Mapping[str, int]) -> Finding:
    """`threads` of each living worker, and how many messages lie in each queue."""
    messages = sum(unread.values())
    facts = {"workers": len(threads), "threads": sum(threads), "messages": messages}
    if not threads:
        return fail(f"none is alive, {messages:,} messages lie unread", "start `connector worker`", **facts)
    counted = f"{len(threads)} {'worker' if len(threads) == 1 else 'workers'}, {sum(threads):,} threads"
    return ok(f"{counted}, {messages:,} messages unread", **facts)


def check_beat(subject: Subject) -> Finding:
    tick = seconds_since_tick(subject.redis)
    with subject.database.read() as connection:
        lag = sweep_lag(connection)
    return beat_finding(tick, lag, unread=unread_messages(subject.settings, subject.redis)[Queue.CONTROL])


def beat_finding(tick: float | None, lag: float | None, *, unread: int) -> Finding:
    """From what beat leaves behind: a worker followed its last tick `tick` seconds ago, and the row that is due for
    longest has waited for the sweep for `lag` seconds. `unread` ticks lie in the queue.
    """
    facts = {"tick_seconds": tick and round(tick, 3), "sweep_lag_seconds": lag and round(lag, 3)}
    if tick is None or tick > _TICK_SECONDS:
        found = "no tick has arrived lately" if tick is None else f"the last tick arrived {lasting(tick)} ago"
        if not unread:
            return fail(found, "start `connector beat`", **facts)
        is_late = tick is None or tick > _BUSY_SECONDS
        advice = f"no worker gets to them: start more, at least one of them with the queue {Queue.CONTROL}"
        return (fail if is_late else warn)(f"{found}, {unread:,} lie unread", advice, **facts)
    if lag is not None and lag > _TICK_SECONDS:
        found = f"ticks arrive, but a row is due for {lasting(lag)}"
        return warn(found, "look for what the sweep meets in the workers' log, such as `sweep_stopped`", **facts)
    return ok(f"the last tick arrived {lasting(tick)} ago, no row is overdue", **facts)


def check_redis_clock(subject: Subject) -> Finding:
    before = subject.clock()
    seconds, microseconds = subject.redis.time()
    return clock_finding(before, datetime.fromtimestamp(seconds + microseconds / 1e6, UTC), subject.clock())
