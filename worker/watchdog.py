"""Ends a worker that makes no progress, so that its supervisor starts it anew.

A worker whose slots are all taken for good answers pings and shows a healthy process; so what is looked at is whether
anything moves. Each look finds symptoms, each kind of symptom may last so long, and what outlasts that is the reason.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import structlog

from connections.settings import Settings
from connections.settlement import Settlement
from worker import process
from worker.heartbeat import Heartbeat
from worker.running import Run, Running
from worker.shutdown import Shutdown

log = structlog.get_logger()

# The status of a process that its watchdog has ended: EX_SOFTWARE of sysexits.h.
EXIT_STUCK = 70

TICK_SECONDS = 1.0
LOOK_SECONDS = 3.0
# A heartbeat stops when the event loop has stood still for this long; a busy machine may miss a tick or two.
_FAINT_SECONDS = 6.0
# What Celery may take to close its connections after the last run.
_CLOSING_SECONDS = 5.0


class Kind(StrEnum):
    BUSY = "busy"  # a thread is still in the same attempt
    LEAKED = "leaked"  # a message counts as begun, and no thread performs it
    LOOP_STILL = "event loop still"  # Celery's main loop does not turn, although Redis answers
    UNCONNECTED = "no broker"  # it does not turn because it has no connection to the broker, although Redis answers
    ENDING = "ending"  # the process was told to end


class Symptom(NamedTuple):
    """Something that is normal for a while. Two looks see the same one when all three are equal."""

    kind: Kind
    task_id: str = ""
    detail: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look sees. `running` and `claims` are by thread, `accepted` says since when by task id."""

    running: Mapping[int, Run]
    claims: Mapping[int, object]
    accepted: Mapping[str, float]
    has_ticked: bool
    is_connected: bool
    redis_answers: bool
    is_stopping: bool


def limits(settings: Settings) -> dict[Kind, float]:
    """How many seconds each kind may last."""
    return {
        # The attempt's own deadline, and for each of the steps around it (the claim, the settling, ending a session,
        # the pause before the next attempt) what a database and a host that hardly answer may take.
        Kind.BUSY: settings.attempt_seconds + 90.0,
        Kind.LEAKED: 30.0,
        # Celery tries to reconnect every 30 seconds at last, and notices a connection that fell silent after 22.
        Kind.LOOP_STILL: 60.0,
        # That Redis answers says nothing of RabbitMQ.
        Kind.UNCONNECTED: math.inf if settings.broker_url else 60.0,
        Kind.ENDING: settings.grace_seconds + 10.0,
    }


def symptoms(sight: Sight) -> Set[Symptom]:
    if sight.is_stopping:
        return {Symptom(Kind.ENDING)}
    performed = {run.task_id for run in sight.running.values()}
    found = {
        Symptom(Kind.BUSY, run.task_id, (run.number, sight.claims.get(thread))) for thread, run in sight.running.items()
    }
    found |= {
        Symptom(Kind.LEAKED, task_id, (since,)) for task_id, since in sight.accepted.items() if task_id not in performed
    }
    if sight.redis_answers and not sight.has_ticked:
        found.add(Symptom(Kind.LOOP_STILL if sight.is_connected else Kind.UNCONNECTED))
    return found


def aged(ages: Mapping[Symptom, float], present: Set[Symptom], passed: float) -> dict[Symptom, float]:
    """Seconds for which each present symptom has been seen at every look; `passed` went by since the last one."""
    return {symptom: ages[symptom] + passed if symptom in ages else 0.0 for symptom in present}


def outlasting(ages: Mapping[Symptom, float], limits: Mapping[Kind, float]) -> list[str]:
    """The reasons to end this process, for the log; none when all is well."""
    return [
        f"{symptom.kind} for {age:.0f} s {symptom.task_id}".rstrip()
        for symptom, age in ages.items()
        if age > limits[symptom.kind]
    ]


class Watchdog:
    """A thread that looks every few seconds, and renews the heartbeat while there is progress."""

    def __init__(
        self,
        running: Running,
        settlement: Settlement,
        heartbeat: Heartbeat,
        shutdown: Shutdown,
        limits: Mapping[Kind, float],
        *,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._running = running
        self._settlement = settlement
        self._heartbeat = heartbeat
        self._shutdown = shutdown
        self._limits = limits
        self._end = end
        self._ages: dict[Symptom, float] = {}
        self._ticks = 0
        self._is_connected: Callable[[], bool] = lambda: True
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self, is_connected: Callable[[], bool]) -> None:
        """`is_connected` says whether Celery has a connection to the broker right now."""
        self._is_connected = is_connected
        self._thread.start()

    def tick(self) -> None:
        """To be called by Celery's event loop every `TICK_SECONDS`."""
        self._ticks += 1

    def close(self) -> None:
        """Stops looking, if it has begun: a worker may be told to end before Redis has ever answered."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        looked_at, ticks = time.monotonic(), -1
        while True:
            sight = self._look(ticks)
            ticks, now = self._ticks, time.monotonic()
            # A process that was stopped as a whole, or starved, has had no time in which to make progress.
            passed = min(now - looked_at, 2 * LOOK_SECONDS)
            looked_at = now
            self._ages = aged(self._ages, symptoms(sight), passed)
            if reasons := outlasting(self._ages, self._limits):
                log.error("worker_stuck", reasons=reasons, running=len(sight.running))
                self._end_process()
                return
            if self._closed.wait(LOOK_SECONDS):
                return

    def _look(self, ticks: int) -> Sight:
        is_stopping = process.is_stopping()
        still = (self._ages.get(Symptom(kind), 0.0) for kind in (Kind.LOOP_STILL, Kind.UNCONNECTED))
        is_faint = max(still) >= _FAINT_SECONDS
        return Sight(
            accepted=process.accepted(),
            running=self._running.by_thread(),
            claims=self._settlement.claims(),
            is_connected=self._is_connected(),
            redis_answers=self._heartbeat.beat(renew=not is_stopping and not is_faint),
            has_ticked=self._ticks != ticks,
            is_stopping=is_stopping,
        )

    def _end_process(self) -> None:
        """Ends it in order if Celery's event loop still turns, and in any case."""
        process.stop(EXIT_STUCK)
        self._shutdown.begin()
        while not self._shutdown.is_over():
            if self._closed.wait(0.1):
                return
        self._shutdown.release()
        if not self._closed.wait(_CLOSING_SECONDS):
            self._end(EXIT_STUCK)
