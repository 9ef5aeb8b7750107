"""The scripts of pacing in Python say and keep the same as the Lua on a real Valkey, whatever comes in which order."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bench.simulate.scripts import Scripts
from tests.servers import Valkey
from worker.pacing_scripts import LEARN, NO_LOGIN, NO_LOGIN_LEFT, ROOMS, TAKE, TAKE_AHEAD, TAKE_BACK
from worker.redis_client import redis_client

TIME = ("test:seconds", "test:microseconds")
NOON = 1_790_000_000_000_000

HOSTS = ("one", "other")
NOMINAL, WINDOW, LAG, LOOK_EVERY = 102_041, 100_000_000, 1_500_000, 4

# A real key would end in real time, so these are too long to end: counts and milliseconds of an account's windows.
WINDOWS = (2, 10**9, 5, 10**9)
ACCOUNTS = ("alice", "bob", "carol", "dave")

SECOND = 1_000_000
KEPT = (2 * WINDOW // 1000 + 10_000) / 1000


def windows_of(account: str) -> list[str]:
    return [f"{account}:short", f"{account}:long"]


class Both:
    """The Lua and the Python, told the same at the same time."""

    def __init__(self, client: redis.Redis) -> None:
        client.flushall()
        self.client = client
        self.now = NOON
        self.model = Scripts(lambda: float(self.now))
        self.passes(0)

    def passes(self, microseconds: int) -> None:
        self.now += microseconds
        self.client.mset(dict(zip(TIME, divmod(self.now, SECOND), strict=True)))
        for host in HOSTS:  # what Valkey would have forgotten if it lived by this clock
            if self.model.budget(host).forgotten_at == math.inf:
                self.client.delete(host)

    def call(self, script: str, keys: Sequence[str], args: Sequence[float]) -> None:
        told = self.client.register_script(script.replace("'TIME'", "'MGET', '{}', '{}'".format(*TIME)))(
            keys=[*keys], args=[*args]
        )
        answer = self.model.register_script(script)(keys, args)
        assert plain(told) == plain(answer), (keys, args)

    def check(self) -> None:
        """What both have kept, and for how long."""
        for host in HOSTS:
            budget = self.model.budget(host)
            stored: dict[Any, Any] = self.client.hgetall(host)
            kept = {name.decode(): float(value) for name, value in stored.items()}
            assert kept == budget.fields()
            if kept and budget.forgotten_at != math.inf:
                assert self.client.pttl(host) / 1000 == pytest.approx(KEPT, abs=30)
        for key in (key for account in ACCOUNTS for key in windows_of(account)):
            assert int(self.client.get(key) or 0) == self.model.logins(key)


def plain(answer: Any) -> Any:
    """Numbers, however they are sent. When an account may log in again is told by a clock that does not stand still."""
    if isinstance(answer, bytes | int | float):
        return float(answer)
    told = [plain(one) for one in answer or []]
    return told[:1] if told[:1] == [NO_LOGIN_LEFT] else told


HOST = st.sampled_from((HOSTS[0], *HOSTS))
SOME = st.lists(st.sampled_from(ACCOUNTS), unique=True, max_size=len(ACCOUNTS))
MICROSECONDS = st.integers(0, 3 * WINDOW)
Steps = st.SearchStrategy[Any]

TAKES: Steps = st.tuples(
    st.just(TAKE),
    st.tuples(HOST, SOME.map(lambda names: names[:1])),
    st.tuples(
        st.sampled_from((0, 63 * SECOND)),
        st.sampled_from((0, 2 * SECOND)),
        st.integers(0, 1),
    ).map(lambda some: [NOMINAL, WINDOW, LAG, *some, LOOK_EVERY]),
)
AHEAD: Steps = st.tuples(
    st.just(TAKE_AHEAD), st.tuples(HOST, SOME), st.just([NOMINAL, WINDOW, LAG, LOOK_EVERY, 2, *WINDOWS])
)
BACK: Steps = st.tuples(
    st.just(TAKE_BACK), st.tuples(HOST, SOME), st.integers(0, 5).map(lambda turns: [NOMINAL, WINDOW, LAG, turns])
)
NO_LOGINS: Steps = st.tuples(st.just(NO_LOGIN), st.tuples(st.none(), SOME), st.just([]))
ROOMS_OF: Steps = st.tuples(st.just(ROOMS), st.tuples(st.just(HOSTS), st.just([])), st.just([NOMINAL, WINDOW]))

NO_STOP = st.just([-1, -1])
STOPS = st.tuples(MICROSECONDS, st.just(-1) | st.floats(0, 1)).map(list)
NO_BUCKET = st.just([0, 0, 0, 0])
BUCKETS = st.integers(1, 3000).flatmap(
    lambda limit: st.tuples(
        st.just(limit),
        st.integers(0, limit),
        st.integers(0, WINDOW),
        st.sampled_from((WINDOW, WINDOW // 7, 3 * WINDOW)),
    ).map(list)
)
# Of a host whose window goes by, and where a little more or less decides whether its turns are slowed down.
LIMIT = 1000
TIGHT = st.tuples(st.integers(WINDOW // 3, WINDOW), st.integers(-4, 4)).map(
    lambda some: [LIMIT, min(LIMIT, max(0, (some[0] - 500_000) // NOMINAL - LIMIT // 50 + some[1])), some[0], WINDOW]
)
LEARNS: Steps = st.tuples(
    st.just(LEARN),
    st.tuples(HOST, st.just([])),
    st.tuples(
        st.integers(1, 20 * SECOND), NO_STOP | NO_STOP | STOPS, NO_BUCKET | BUCKETS | TIGHT, st.integers(0, 1)
    ).map(lambda some: [NOMINAL, WINDOW, some[0], *some[1], *some[2], some[3]]),
)
# A twentieth of a window, a window, and the date that is no longer believed have something to them.
PASSES = (
    st.integers(0, 3 * SECOND)
    | st.integers(WINDOW // 25, WINDOW // 15)
    | st.integers(WINDOW - SECOND, WINDOW + SECOND)
    | MICROSECONDS
)
# The clock of Valkey's machine may be set back.
SET_BACK = st.integers(-4 * WINDOW - 20 * SECOND, 0)

STEPS = st.lists(
    st.tuples(
        st.just(0) | st.just(0) | st.just(0) | PASSES | PASSES | PASSES | SET_BACK,
        TAKES | TAKES | LEARNS | LEARNS | AHEAD | BACK | ROOMS_OF | NO_LOGINS,
    ),
    min_size=40,
    max_size=60,
)


@pytest.fixture(scope="module")
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    client = redis_client(valkey.url)
    yield client
    client.close()


# Not shrunk: the keys and arguments of the call that differs are told, and hundreds of round trips take their time.
@settings(max_examples=50, phases=(Phase.explicit, Phase.generate))
@given(steps=STEPS)
def test_they_say_and_keep_the_same(client: redis.Redis, steps: list[tuple[int, Any]]) -> None:
    both = Both(client)
    for seconds, (script, (hosts, accounts), args) in steps:
        both.passes(seconds)
        keys = [hosts] if isinstance(hosts, str) else [*(hosts or ())]
        limits = [*WINDOWS] if script == TAKE and accounts else []
        windows = [key for account in accounts for key in windows_of(account)]
        if script == NO_LOGIN and not windows:
            continue
        both.call(script, [*keys, *windows], [*args, *limits])
        both.check()


def test_a_line_of_turns_at_a_host_that_is_asked_all_it_allows(client: redis.Redis) -> None:
    """A thousand in a row: small errors would add up."""
    both = Both(client)
    batch = [NOMINAL, WINDOW, LAG, 0, 2 * SECOND, 1, LOOK_EVERY]
    both.call(LEARN, ["one"], [NOMINAL, WINDOW, 400_000, -1, -1, 3000, 2500, 60 * SECOND, 300 * SECOND, 1])
    for number in range(1000):
        both.passes(number % 7 * 37_003)
        both.call(TAKE, ["one"], batch)
        both.call(ROOMS, [*HOSTS], [NOMINAL, WINDOW])
    both.check()
