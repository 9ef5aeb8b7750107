"""Thousands of callers wait at one API process; then many of them are answered in the same moment."""

import statistics
import time
from dataclasses import dataclass
from functools import partial
from itertools import count

from bench.kept import percentile
from bench.waiting.callers import Crowd, crowd, keep_posting, posting
from bench.waiting.servers import Api
from bench.waiting.settle import count_awaited, newest_awaited, settle
from bench.waiting.wire import connect_request
from tests.servers import wait_until

WAIT_SECONDS = 60
_WARM_UP = 1000
_WARM_UP_CONNECTIONS = 32
_AT_ONCE = 250
_IDLE_SECONDS = 5.0
_ANSWER_SECONDS = 30.0

_numbers = count()


@dataclass(frozen=True, slots=True)
class Waited:
    """`kb_per_caller` is 1,000 bytes of resident memory; `idle_cpu` is per cent of a core while nothing happens.

    The rest is about those who were released: milliseconds from the announcements on, and CPU of the API for each.
    """

    database: str
    callers: int
    seconds_to_gather: float
    rss_mb_before: float
    rss_mb_waiting: float
    rss_mb_after: float
    kb_per_caller: float
    subscriptions: int
    idle_cpu: float
    released: int
    last_ms: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_answer: float
    answer_ms: list[float]


def gather_and_release(database: str, api: Api, callers: int, released: int) -> Waited:
    warm_up(api)
    before = api.rss
    with crowd(api.port) as people:
        started = time.monotonic()
        gather(api, people, callers)
        seconds = time.monotonic() - started
        waiting = api.rss
        subscriptions = api.subscriptions()
        cpu = api.cpu_seconds
        time.sleep(_IDLE_SECONDS)
        idle_cpu = (api.cpu_seconds - cpu) / _IDLE_SECONDS
        assert (found := api.waiting_callers()) == callers, f"{found} of {callers} still wait; gathering took {seconds}"

        awaited = newest_awaited(api, released)
        cpu = api.cpu_seconds
        at = settle(api, awaited)
        wait_until(lambda: len(people.answers()) >= released, what="the answers", seconds=_ANSWER_SECONDS)
        cpu = api.cpu_seconds - cpu
        answers = people.answers()
        assert {status for _, status in answers} == {201}, answers
    wait_until(lambda: api.waiting_callers() == 0, what="the callers to be gone")
    times = sorted(1000 * (answered - at) for answered, _ in answers)
    return Waited(
        database=database,
        callers=callers,
        seconds_to_gather=seconds,
        rss_mb_before=before / 1e6,
        rss_mb_waiting=waiting / 1e6,
        rss_mb_after=api.rss / 1e6,
        kb_per_caller=(waiting - before) / callers / 1e3,
        subscriptions=subscriptions,
        idle_cpu=100 * idle_cpu,
        released=released,
        last_ms=times[-1],
        p50_ms=statistics.median(times),
        p99_ms=percentile(times, 99),
        cpu_ms_per_answer=1000 * cpu / released,
        answer_ms=times,
    )


def warm_up(api: Api) -> None:
    """Every thread of the API has its connections and its arena before memory is looked at."""
    requests = [request(api, "respond-async") for _ in range(_WARM_UP)]
    with posting() as process:
        posted = process.apply(keep_posting, (api.port, requests, _WARM_UP_CONNECTIONS))
    assert posted.statuses == {202: _WARM_UP}, posted.statuses


def gather(api: Api, people: Crowd, callers: int) -> None:
    """Some at a time: more than a thousand who have not been taken in yet would be refused."""
    while (there := count_awaited(api)) < callers:
        more = min(_AT_ONCE, callers - there)
        people.add([request(api, f"wait={WAIT_SECONDS}") for _ in range(more)])
        wait_until(partial(_are_in, api, there + more), what="the callers to be taken in")


def _are_in(api: Api, number: int) -> bool:
    return count_awaited(api) >= number


def request(api: Api, prefer: str) -> bytes:
    """No two are about the same account, or they would share one task."""
    return connect_request(api.tenant.key, f"waiting{next(_numbers)}.test", prefer=prefer)
