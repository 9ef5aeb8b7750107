"""Every request's turn, on a real Valkey."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis

from connections.errors import OutOfBudget
from connections.rate import Rate
from sandbox.limits import Limit
from tests.integration.worker.paced import BUDGET, HOST, NOON, Fleet, Timeline, Upstream, keep_to_timeline
from tests.servers import Valkey, free_port
from worker.bulkhead import Bulkhead
from worker.heartbeat import Heartbeat
from worker.pace import bulk, is_bulk, promptly
from worker.pacing import LOGIN_LIMITS, LONGEST_SLEEP_SECONDS, Pacer, Room
from worker.redis_client import redis_client

WINDOW = BUDGET.seconds
RATE = BUDGET.count / WINDOW
ALICE = "did:plc:alice"


@pytest.fixture
def clients(valkey: Valkey) -> Iterator[list[redis.Redis]]:
    clients = [redis_client(valkey.url) for _ in range(2)]
    clients[0].flushall()
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def timeline(clients: list[redis.Redis], monkeypatch: pytest.MonkeyPatch) -> Timeline:
    keep_to_timeline(monkeypatch)
    return Timeline(clients[0])


@pytest.fixture
def fleet(timeline: Timeline, clients: list[redis.Redis]) -> Fleet:
    return Fleet(timeline, clients)


@pytest.fixture
def upstream(timeline: Timeline) -> Upstream:
    return Upstream(timeline)


def real_pacer(client: redis.Redis, *, budget: Rate = BUDGET, bulkhead: Bulkhead | None = None) -> Pacer:
    return Pacer(
        client, budget=budget, interactive_share=0.2, egress_address="test", bulkhead=bulkhead, sleep=lambda _: None
    )


class TestBatches:
    @pytest.mark.parametrize("call", ["GET", "POST"])
    def test_all_workers_together_use_the_budget_and_no_more(self, fleet: Fleet, upstream: Upstream, call: str) -> None:
        fleet.run(upstream, 2.5 * WINDOW, call=call)
        assert upstream.refused == []
        assert upstream.most_in_a_window() <= BUDGET.count
        assert len(upstream.answered) >= 0.95 * 2.5 * BUDGET.count

    def test_turns_that_nobody_took_are_lost(self, fleet: Fleet, upstream: Upstream) -> None:
        fleet.run(upstream, 10)
        fleet.timeline.set(fleet.timeline.now() + WINDOW / 2)
        fleet.run(upstream, 10)
        assert len(upstream.answered) <= 20 * RATE + 0.02 * BUDGET.count

    def test_a_turn_is_waited_for_if_it_comes_soon(self, fleet: Fleet) -> None:
        waits: list[float] = []
        with pytest.raises(OutOfBudget) as caught:
            waits.extend(iter(fleet.take, None))
        assert caught.value.host == HOST
        assert caught.value.retry_after == pytest.approx(LONGEST_SLEEP_SECONDS, abs=0.2)
        assert waits == sorted(waits)
        assert waits[-1] == pytest.approx(LONGEST_SLEEP_SECONDS, abs=0.2)

    def test_never_beyond_the_deadline(self, fleet: Fleet) -> None:
        slept = fleet.slept
        with bulk():
            for _ in range(40):
                try:
                    fleet.pacers[0].take(HOST, deadline=fleet.timeline.now() + 0.5)
                except OutOfBudget:
                    break
            else:
                raise AssertionError("no end")
        assert 0.3 < max(slept) <= 0.5

    def test_hosts_and_addresses_have_budgets_of_their_own(
        self, fleet: Fleet, clients: list[redis.Redis], timeline: Timeline
    ) -> None:
        fill(fleet)
        elsewhere = Pacer(
            clients[0], budget=BUDGET, interactive_share=0.2, egress_address="other", sleep=fleet.slept.append
        )
        fleet.slept.clear()
        with bulk():
            elsewhere.take(HOST, deadline=time.monotonic() + 15)
            fleet.pacers[0].take("other.example.com", deadline=timeline.now() + 15)
        assert fleet.slept == []

    def test_threads_never_share_a_turn(self, clients: list[redis.Redis]) -> None:
        pacers = [real_pacer(client) for client in clients]

        def take(number: int) -> bool:
            with bulk():
                try:
                    pacers[number % 2].take(HOST, deadline=time.monotonic() + 15)
                except OutOfBudget:
                    return False
            return True

        started = time.monotonic()
        with ThreadPoolExecutor(16) as threads:
            taken = sum(threads.map(take, range(400)))
        passed = time.monotonic() - started
        # What is made up for at the start, two seconds ahead and the time that passed.
        assert 15 <= taken <= (LONGEST_SLEEP_SECONDS + passed) * RATE + 0.01 * BUDGET.count + 1


def fill(fleet: Fleet) -> None:
    """Takes every turn that a batch may have now."""
    for _ in range(1000):
        try:
            fleet.take()
        except OutOfBudget:
            return
    raise AssertionError("no end")


class TestCallersWhoWait:
    def test_go_at_once_while_batches_take_all_there_is(self, fleet: Fleet) -> None:
        fill(fleet)
        assert [fleet.take(waits=True) for _ in range(200)] == [0.0] * 200

    def test_may_not_go_ahead_for_ever(self, fleet: Fleet) -> None:
        fill(fleet)
        with pytest.raises(OutOfBudget):
            deque((fleet.take(waits=True) for _ in range(300)), maxlen=0)

    def test_batches_pay_it_back(self, fleet: Fleet, upstream: Upstream) -> None:
        fill(fleet)
        for _ in range(100):
            fleet.take(waits=True)
        room = fleet.pacers[1].rooms([HOST], within=1)[HOST]
        assert room.requests == 0
        assert room.wait == pytest.approx(LONGEST_SLEEP_SECONDS + 100 / RATE, rel=0.05)
        fleet.run(upstream, WINDOW)
        assert len(upstream.answered) <= BUDGET.count - 100

    def test_cost_batches_nothing_while_nobody_waits(self, fleet: Fleet, upstream: Upstream) -> None:
        fleet.run(upstream, WINDOW)
        assert len(upstream.answered) >= 0.97 * BUDGET.count

    def test_are_who_is_not_in_a_batch(self) -> None:
        assert not is_bulk()
        with bulk():
            assert is_bulk()
            with promptly():
                assert not is_bulk()
            assert is_bulk()
        assert not is_bulk()


class TestNeighbours:
    """Another program at the same address eats a third and says nothing."""

    @pytest.mark.parametrize("call", ["GET", "POST"])
    def test_leave_two_thirds_and_hardly_a_refusal(self, fleet: Fleet, upstream: Upstream, call: str) -> None:
        fleet.run(upstream, 4 * WINDOW, call=call, neighbour=RATE / 3)
        assert len(upstream.refused) <= 0.01 * len(upstream.answered)
        assert len(upstream.answered) >= 0.93 * 4 * BUDGET.count * 2 / 3

    def test_are_found_out_by_refusals_alone(self, fleet: Fleet, upstream: Upstream) -> None:
        upstream.shows = only_a_wait(upstream)
        fleet.run(upstream, 6 * WINDOW, neighbour=RATE / 3)
        assert len(upstream.refused) <= 0.02 * len(upstream.answered)
        assert len(upstream.answered) >= 0.85 * 6 * BUDGET.count * 2 / 3

    def test_are_forgotten_when_they_have_gone(self, fleet: Fleet, upstream: Upstream) -> None:
        fleet.run(upstream, 2 * WINDOW, neighbour=RATE / 3)
        before = len(upstream.answered)
        fleet.run(upstream, 2 * WINDOW)
        assert len(upstream.answered) - before >= 0.93 * 2 * BUDGET.count


def only_a_wait(upstream: Upstream) -> Callable[[int, dict[str, str]], dict[str, str]]:
    """Says when a refusal ends, and nothing before."""

    def shows(status: int, headers: dict[str, str]) -> dict[str, str]:
        if status == 200:
            return {}
        return {"retry-after": str(int(headers["ratelimit-reset"]) + 1 - int(upstream.timeline.now()))}

    return shows


def bucket(limit: int, remaining: int, left: int, window: int = WINDOW) -> dict[str, str]:
    return {
        "ratelimit-limit": str(limit),
        "ratelimit-remaining": str(remaining),
        "ratelimit-reset": str(int(NOON) + left),
        "ratelimit-policy": f"{limit};w={window}",
    }


class TestWhatAHostSays:
    def hear(self, fleet: Fleet, headers: Mapping[str, str], status: int = 200, call: str = "GET") -> Room:
        fleet.take()
        fleet.pacers[0].learn(HOST, call, status, headers, 0.3)
        return fleet.pacers[1].rooms([HOST], within=0)[HOST]

    def test_a_smaller_limit_is_kept_to_by_all(self, fleet: Fleet) -> None:
        room = self.hear(fleet, bucket(200, 199, 100))
        assert room.rate == pytest.approx(2, rel=0.03)

    def test_a_larger_limit_changes_nothing(self, fleet: Fleet) -> None:
        usual = fleet.pacers[0].rooms([HOST], within=0)[HOST].rate
        assert self.hear(fleet, bucket(30_000, 29_999, 100)).rate == usual

    def test_an_accounts_bucket_is_not_the_hosts(self, fleet: Fleet) -> None:
        usual = fleet.pacers[0].rooms([HOST], within=0)[HOST].rate
        assert self.hear(fleet, bucket(30, 1, 100), call="POST").rate == usual

    def test_what_is_left_is_made_to_last(self, fleet: Fleet) -> None:
        room = self.hear(fleet, bucket(1000, 190, 60))
        assert room.rate == pytest.approx(3, rel=0.05)

    def test_a_success_never_stops_a_host(self, fleet: Fleet) -> None:
        room = self.hear(fleet, bucket(1000, 0, 100))
        assert room.rate == pytest.approx(RATE / 10, rel=0.05)
        assert room.wait < 0.2

    def test_what_it_said_ends_with_its_window(self, fleet: Fleet) -> None:
        usual = fleet.pacers[0].rooms([HOST], within=0)[HOST].rate
        self.hear(fleet, bucket(1000, 10, 90))
        fleet.timeline.set(NOON + 90 + WINDOW / 10 + 1)
        assert fleet.pacers[1].rooms([HOST], within=0)[HOST].rate == usual

    @pytest.mark.parametrize("call", ["GET", "POST"])
    def test_a_refusal_stops_every_worker_until_its_end(self, fleet: Fleet, call: str) -> None:
        room = self.hear(fleet, bucket(1000, 0, 60), 429, call)
        assert room.wait == pytest.approx(61, abs=1)
        for waits in (True, False):
            with pytest.raises(OutOfBudget) as caught:
                fleet.take(1, waits=waits)
            assert caught.value.retry_after == pytest.approx(61, abs=1)
        fleet.timeline.set(NOON + 62)
        assert fleet.take(1) == 0.0

    def test_a_refusal_stops_for_a_window_at_most(self, fleet: Fleet) -> None:
        assert self.hear(fleet, {"retry-after": "86400"}, 429).wait == WINDOW

    def test_a_refusal_of_one_account_stops_no_other(self, fleet: Fleet) -> None:
        assert self.hear(fleet, bucket(30, 0, 100), 429, "POST").wait < 0.2

    def test_who_sleeps_towards_a_turn_hears_of_a_refusal(self, fleet: Fleet) -> None:
        fill(fleet)
        fleet.timeline.set(NOON + 0.5)
        pacer = fleet.pacers[0]
        pacer._sleep = lambda _: pacer.learn(HOST, "GET", 429, {"retry-after": "60"}, 0.1)
        with pytest.raises(OutOfBudget) as caught:
            fleet.take()
        assert caught.value.retry_after == pytest.approx(60)

    @pytest.mark.parametrize(
        "headers",
        [
            bucket(1000, -1, 100),
            bucket(1000, 1001, 100),
            bucket(1000, 1, -100),
            bucket(1000, 1, 100_000),
            bucket(10**11, 1, 100),
            {**bucket(1000, 1, 50), "ratelimit-reset": "tomorrow"},
            {**bucket(1000, 1, 50), "ratelimit-policy": "none"},
        ],
        ids=range(7),
    )
    def test_garbage_neither_slows_nor_speeds(
        self, fleet: Fleet, clients: list[redis.Redis], timeline: Timeline, headers: dict[str, str]
    ) -> None:
        silent, loud = Upstream(timeline, shows=lambda *_: {}), Upstream(timeline, shows=lambda *_: headers)
        fleet.run(silent, 60)
        clients[0].flushall()
        timeline.set(NOON)
        fleet.run(loud, 60)
        assert loud.answered == silent.answered

    def test_is_written_when_there_is_news_only(self, fleet: Fleet, clients: list[redis.Redis]) -> None:
        fleet.take()
        for seconds, known in ((0.2, 0.2), (0.9, 0.2)):
            fleet.pacers[0].learn(HOST, "GET", 200, {}, seconds)
            assert fleet.pacers[0].rooms([HOST], within=0)[HOST].seconds == pytest.approx(known)
        fleet.timeline.set(NOON + 1.1)
        fleet.pacers[0].learn(HOST, "GET", 200, {}, 0.7)
        assert fleet.pacers[0].rooms([HOST], within=0)[HOST].seconds == pytest.approx(0.3)


class TestLooks:
    def test_only_where_a_host_speaks_and_hides_its_own(self, fleet: Fleet) -> None:
        pacer = fleet.pacers[0]
        told: dict[str, tuple[str, dict[str, str]]] = {
            "hides": ("POST", bucket(30, 29, 100)),
            "shows": ("GET", bucket(1000, 900, 100)),
            "silent": ("POST", {}),
        }
        looks = dict.fromkeys(told, 0)
        for turn in range(250):
            fleet.timeline.set(NOON + 0.3 * turn)
            for host, (call, headers) in told.items():
                with bulk():
                    pacer.take(host, deadline=fleet.timeline.now() + 15)
                pacer.learn(host, call, 200, headers, 0.1)
                looks[host] += pacer.wants_look(host)
        assert looks == {"hides": 2, "shows": 0, "silent": 0}


def test_rooms_of_hosts_that_nobody_asked_are_whole(fleet: Fleet) -> None:
    rooms = fleet.pacers[0].rooms(["a.example", "b.example"], within=10)
    assert rooms.keys() == {"a.example", "b.example"}
    room = rooms["a.example"]
    assert room.requests == pytest.approx(98, rel=0.001)
    assert room.rate == pytest.approx(9.8, rel=0.001)
    assert (room.wait, room.seconds) == (0, None)
    assert fleet.pacers[0].rooms([], within=10) == {}


def test_rooms_everywhere_are_those_of_the_addresses_of_living_workers(clients: list[redis.Redis]) -> None:
    here, there = (
        Pacer(clients[0], budget=BUDGET, interactive_share=0.2, egress_address=address, sleep=lambda _: None)
        for address in ("here", "there")
    )
    alone = here.rooms([HOST], within=10)[HOST]
    assert here.rooms_everywhere([HOST], within=10) == {HOST: alone}  # nobody has shown a sign of life yet

    for address in ("here", "there", "there"):
        Heartbeat(clients[0], threads=1, address=address).beat(renew=True)
    there.learn(HOST, "POST", 429, {"retry-after": "60"}, 0.2)

    room = here.rooms_everywhere([HOST], within=10)[HOST]
    assert room.requests == pytest.approx(alone.requests)  # none at the address that was told to stop
    assert alone.rate < room.rate < 2 * alone.rate  # it goes on more slowly there
    assert room.wait == 0
    assert room.seconds == pytest.approx(0.2)
    assert here.rooms_everywhere([], within=10) == {}


def test_rooms_everywhere_without_redis_are_those_of_one_address(timeline: Timeline) -> None:
    nowhere = real_pacer(redis_client("redis://127.0.0.1:1/0"))
    assert nowhere.rooms_everywhere([HOST], within=10)[HOST].requests == pytest.approx(98, rel=0.001)


@pytest.mark.parametrize("budget", [BUDGET, Rate(1, 100)], ids=str)
def test_a_clock_that_is_set_back_stops_no_host(
    timeline: Timeline, clients: list[redis.Redis], upstream: Upstream, budget: Rate
) -> None:
    fleet = Fleet(timeline, clients, budget=budget)
    fleet.take()
    fleet.pacers[0].learn(HOST, "GET", 429, bucket(1000, 0, 90), 0.1)
    timeline.set(NOON - 86_400)
    assert fleet.take() == 0.0
    room = fleet.pacers[1].rooms([HOST], within=0)[HOST]
    assert room.rate == pytest.approx(0.98 * RATE if budget == BUDGET else 0.005, rel=0.001)


def test_the_turns_of_a_tiny_budget_are_believed(timeline: Timeline, clients: list[redis.Redis]) -> None:
    fleet = Fleet(timeline, clients, budget=Rate(1, 100))
    for _ in range(3):
        fleet.pacers[0].learn(HOST, "GET", 429, bucket(1, 0, 90), 0.1)  # a tenth of the rate is the least
        timeline.set(timeline.now() + 100)
    fleet.take()
    with pytest.raises(OutOfBudget):
        fleet.take()


def test_what_is_kept_is_forgotten_when_nobody_asks(clients: list[redis.Redis]) -> None:
    pacer = real_pacer(clients[0])
    with bulk(), pacer.request(HOST, "GET", deadline=time.monotonic() + 5) as answered:
        answered(200, {})
    pacer.take(HOST, deadline=time.monotonic() + 5, login_of=ALICE)
    keys = clients[0].keys()
    assert len(keys) == 3
    assert all(0 < clients[0].ttl(key) <= 86_400 for key in keys)


class TestRequests:
    def test_a_batch_finds_its_place_and_gives_it_back(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0], bulkhead=Bulkhead(wait=0.0))
        deadline = time.monotonic() + 15
        with bulk():
            with pacer.request(HOST, "GET", deadline=deadline) as answered:
                with pytest.raises(OutOfBudget), pacer.request(HOST, "GET", deadline=deadline):
                    pass
                with promptly(), pacer.request(HOST, "GET", deadline=deadline):
                    pass  # who waits needs none
                answered(200, {})
            with (
                pacer.request(HOST, "GET", deadline=deadline) as answered,
                pacer.request(HOST, "GET", deadline=deadline),
            ):
                answered(200, {})

    def test_a_host_that_fails_is_not_quick_any_more(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0], bulkhead=Bulkhead({HOST}, wait=0.0))
        deadline = time.monotonic() + 15
        with bulk():
            with pytest.raises(ZeroDivisionError), pacer.request(HOST, "GET", deadline=deadline):
                raise ZeroDivisionError
            with (
                pacer.request(HOST, "GET", deadline=deadline),
                pytest.raises(OutOfBudget),
                pacer.request(HOST, "GET", deadline=deadline),
            ):
                pass

    def test_an_answer_is_taken_notice_of(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0])
        with pacer.request(HOST, "GET", deadline=time.monotonic() + 15) as answered:
            answered(429, {"retry-after": "60"})
        assert pacer.rooms([HOST], within=0)[HOST].wait == pytest.approx(60, abs=5)


class TestLogins:
    @staticmethod
    def log_in(pacer: Pacer, account: str = ALICE) -> None:
        pacer.take(HOST, deadline=time.monotonic() + 5, login_of=account)

    def test_to_one_account_are_few(self, clients: list[redis.Redis]) -> None:
        pacers = [real_pacer(client) for client in clients]
        few = LOGIN_LIMITS[0]
        for number in range(few.count):
            self.log_in(pacers[number % 2])
        with pytest.raises(OutOfBudget, match="too often") as caught:
            self.log_in(pacers[0])
        assert caught.value.host == ""
        assert caught.value.retry_after == pytest.approx(few.seconds, abs=30)
        assert not caught.value.uses_attempt
        self.log_in(pacers[0], "did:plc:bob")
        pacers[0].take(HOST, deadline=time.monotonic() + 5)

    def test_are_counted_for_the_day(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0])
        many = LOGIN_LIMITS[1]
        for _ in range(many.count):
            self.log_in(pacer)
            clients[0].delete(*[key for key in clients[0].scan_iter() if key.endswith(b":300")])
        with pytest.raises(OutOfBudget) as caught:
            self.log_in(pacer)
        assert caught.value.retry_after == pytest.approx(many.seconds, abs=30)

    def test_that_find_no_turn_do_not_count(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0], budget=Rate(1, 86_400))
        with bulk():
            self.log_in(pacer, "did:plc:bob")
            for _ in range(40):
                with pytest.raises(OutOfBudget, match="rate limit"):
                    self.log_in(pacer)
        self.log_in(real_pacer(clients[0]))

    def test_that_find_no_place_at_the_host_do_not_count(self, clients: list[redis.Redis]) -> None:
        full = _FullWhenItMatters()
        pacer = real_pacer(clients[0], bulkhead=full)
        deadline = time.monotonic() + 5
        for _ in range(40):
            with pytest.raises(OutOfBudget), bulk(), pacer.request(HOST, "POST", deadline=deadline, login_of=ALICE):
                pass
        self.log_in(pacer)

    def test_that_are_refused_count(self, clients: list[redis.Redis]) -> None:
        pacer = real_pacer(clients[0])
        deadline = time.monotonic() + 5
        for _ in range(30):
            with (
                pytest.raises(ZeroDivisionError),
                pacer.request(HOST, "POST", deadline=deadline, login_of=ALICE),
            ):
                raise ZeroDivisionError
        with pytest.raises(OutOfBudget, match="too often"):
            self.log_in(pacer)


class _FullWhenItMatters(Bulkhead):
    """Somebody takes the last place between the first look at it and the turn."""

    def check(self, host: str) -> None:
        """There is one."""

    @contextmanager
    def hold(self, host: str) -> Iterator[None]:
        raise OutOfBudget(host=host)
        yield


def test_without_redis_nobody_waits(capsys: pytest.CaptureFixture[str]) -> None:
    client = redis_client(f"redis://127.0.0.1:{free_port()}")
    pacer = real_pacer(client)
    with bulk():
        for _ in range(3):
            deadline = time.monotonic() + 5
            with pacer.request(HOST, "POST", deadline=deadline, login_of=ALICE) as answered:
                answered(200, bucket(1000, 0, 100))
    assert pacer.rooms([HOST], within=10)[HOST].requests == pytest.approx(98, rel=0.001)
    assert capsys.readouterr().out.count("requests_not_paced") == 1
    client.close()


def test_a_small_budget_is_kept_to_as_well(timeline: Timeline, clients: list[redis.Redis]) -> None:
    fleet = Fleet(timeline, clients, budget=Rate(10, 60))
    upstream = Upstream(timeline, Limit("small", 10, 60))
    fleet.run(upstream, 600)
    assert upstream.refused == []
    assert upstream.most_in_a_window() <= 10
    assert len(upstream.answered) >= 85
