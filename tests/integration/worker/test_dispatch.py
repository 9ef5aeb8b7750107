"""Batches that lie in the table, dispatched and performed: without processes around them, and by real workers."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import redis
from sqlalchemy import event, select, update

from connections import errors
from connections.contract import BatchWaitReason, TaskStatus
from connections.db import Database
from connections.dispatching import Dispatching
from connections.models import accounts, connect_batches, connect_tasks
from connections.outcome import Outcome
from connections.rate import Rate
from connections.settlement import Settlement
from connections.sqltime import from_now
from connections.vault import Opener, Sealer, TokenCipher, WorkerKeys
from connections.verified import Credentials, Refreshed, StoredAccount, VerifiedAccount
from messaging.depth import redis_depth
from tests.factories import MadeBatch, NoLoginLimits, Tenant, make_batch, make_tenant, verified
from worker.announce import Announcer
from worker.dispatch import Dispatcher
from worker.dispatch_turn import Turns
from worker.heartbeat import Heartbeat, live_threads
from worker.pacing import Room
from worker.perform import Performer
from worker.platforms.base import BeforeLogin

BUDGET = Rate(3000, 300)
THREADS = 16


class Platform:
    """Lets everybody in but those it has an error for; `before_each` runs before each login."""

    def __init__(self) -> None:
        self.errors: dict[str, errors.ConnectorError] = {}
        self.logins: list[str] = []
        self.login_names: dict[str, str] = {}
        """Of handles whose login tells whose account it is."""
        self.throws: dict[str, BaseException] = {}
        self.before_each: Callable[[], object] = lambda: None
        self.ended: list[VerifiedAccount] = []

    def login_name(self, credentials: Credentials) -> str | None:
        return self.login_names.get(credentials.identifier)

    def ahead(self, names: Sequence[str]) -> AbstractContextManager[None]:
        return nullcontext()

    def connect(
        self, credentials: Credentials, *, deadline: float, before_login: BeforeLogin, looks_first: bool = False
    ) -> VerifiedAccount:
        handle = credentials.identifier
        before_login(None if handle in self.login_names and not looks_first else f"did:plc:{handle}", handle)
        self.before_each()
        if failure := self.errors.get(handle) or self.throws.get(handle):
            raise failure
        self.logins.append(handle)
        return verified(f"did:plc:{handle}", self.login_names.get(handle, handle))

    def refresh(self, account: StoredAccount, *, deadline: float) -> Refreshed:
        raise AssertionError("no session is refreshed here")

    def end_session(self, account: VerifiedAccount, *, deadline: float) -> None:
        self.ended.append(account)

    def end_retired(self, account: str, host: str, refresh_token: str, *, deadline: float) -> None:
        raise AssertionError("no account is left")

    def open_circuits(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None:
        """There is nothing to give back."""


def room(*, requests: float = 1e6, wait: float = 0.0, seconds: float = 0.5) -> Room:
    return Room(requests=requests, rate=10.0, wait=wait, seconds=seconds)


class Rooms:
    """Hosts have the room they are given, others as much as they like."""

    def __init__(self) -> None:
        self.given: dict[str, Room] = {}

    def rooms_everywhere(self, hosts: Collection[str], *, within: float) -> Mapping[str, Room]:
        return {host: self.given.get(host, room()) for host in hosts}


class Bench:
    """One dispatcher and one worker, without the processes around them."""

    def __init__(self, database: Database, keys: WorkerKeys, client: redis.Redis) -> None:
        self.database = database
        self.redis = client
        self.sealer = Sealer(keys.for_shim())
        self.settlement = Settlement(database, Opener(keys), TokenCipher(keys), lease_seconds=30)
        self.platform, self.rooms = Platform(), Rooms()
        self.messages: list[list[str]] = []
        self.is_down = self.is_stopping = False
        self.asked = 0
        self.dispatcher = Dispatcher(
            Dispatching(database),
            self.rooms,
            Turns(client, redis_depth(client)),
            budget=BUDGET,
            send=self._send,
            ask=self._ask,
        )
        self.performer = Performer(
            self.settlement,
            {"bluesky": self.platform},
            Announcer(client),
            NoLoginLimits(),
            attempt_seconds=5,
            is_stopping=lambda: self.is_stopping,
            uniform=lambda _low, high: high,
            batch_retry_seconds=900.0,
        )
        Heartbeat(client, threads=THREADS, address="here").beat(renew=True)

    def _send(self, messages: Sequence[Sequence[str]]) -> None:
        if self.is_down:
            raise errors.QueueUnavailable
        self.messages += map(list, messages)

    def _ask(self) -> None:
        self.asked += 1

    def batch(self, *people: str, tenant: Tenant | None = None, is_accepted: bool = True) -> MadeBatch:
        return make_batch(
            self.database, tenant or make_tenant(self.database), people, self.sealer, is_accepted=is_accepted
        )

    def dispatch(self) -> list[str]:
        """The ids of the rows that one run sends; their messages lie in `messages`."""
        before = len(self.messages)
        self.dispatcher.dispatch()
        return [task_id for message in self.messages[before:] for task_id in message]

    def perform(self) -> None:
        """Performs all messages there are."""
        while self.messages:
            self.performer.perform_rows(self.messages.pop(0))

    def work(self, runs: int = 50) -> None:
        for _ in range(runs):
            if not self.dispatch():
                return
            self.perform()
        raise AssertionError("there is no end to it")

    def work_off(self, *people: str, tenant: Tenant) -> MadeBatch:
        batch = self.batch(*people, tenant=tenant)
        self.work()
        return batch

    def change_task(self, task_id: str, **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(update(connect_tasks).values(values).where(connect_tasks.c.id == task_id))

    def change(self, **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(update(connect_tasks).values(values))

    def rows(self, *columns: str, batch: MadeBatch | None = None) -> list[tuple[object, ...]]:
        query = select(*(connect_tasks.c[name] for name in columns)).order_by(
            connect_tasks.c.batch_id, connect_tasks.c.batch_row
        )
        if batch is not None:
            query = query.where(connect_tasks.c.batch_id == batch.id)
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def statuses(self, batch: MadeBatch) -> list[str]:
        return [str(status) for (status,) in self.rows("status", batch=batch)]

    def lives(self) -> list[float]:
        """For how many seconds each row goes on at most."""
        with self.database.read() as connection:
            query = select(connect_tasks.c.expires_at, from_now().label("now"))
            return [(row.expires_at - row.now).total_seconds() for row in connection.execute(query)]

    def outcome(self) -> dict[str, Any]:
        with self.database.read() as connection:
            outcome: dict[str, Any] = connection.execute(select(connect_tasks.c.outcome)).scalar_one()
            return outcome

    def stored(self, batch: MadeBatch, column: str) -> object:
        with self.database.read() as connection:
            query = select(connect_batches.c[column]).where(connect_batches.c.id == batch.id)
            return connection.execute(query).scalar_one()


@contextmanager
def transactions(database: Database) -> Iterator[list[object]]:
    """One entry for each that is committed in the block."""
    committed: list[object] = []

    def note(connection: object) -> None:
        committed.append(connection)

    event.listen(database.engine, "commit", note)
    yield committed
    event.remove(database.engine, "commit", note)


@pytest.fixture
def bench(database: Database, worker_keys: WorkerKeys, client: redis.Redis) -> Bench:
    return Bench(database, worker_keys, client)


def people(count: int, domain: str = "pds.test") -> list[str]:
    return [f"p{number}.{domain}" for number in range(count)]


def test_a_batch_is_connected_whole_and_notes_its_end(bench: Bench) -> None:
    batch = bench.batch(*people(100))
    bench.work()

    assert set(bench.statuses(batch)) == {TaskStatus.SUCCEEDED}
    assert sorted(bench.platform.logins) == sorted(people(100))
    assert bench.stored(batch, "finished_at") is not None
    assert bench.stored(batch, "waits_for") is None


def test_a_batch_that_is_still_arriving_is_not_worked_on(bench: Bench) -> None:
    batch = bench.batch("alice.test", is_accepted=False)
    assert bench.dispatch() == []
    assert bench.stored(batch, "finished_at") is None


def test_only_half_of_the_threads_are_given_to_batches(bench: Bench) -> None:
    bench.batch(*people(200))
    bench.dispatch()

    assert len(bench.messages) == THREADS // 2
    assert bench.dispatch() == []


def test_nothing_is_sent_while_messages_lie_unread(bench: Bench) -> None:
    batch = bench.batch("alice.test")
    bench.redis.rpush("connect", *"abcd")
    assert bench.dispatch() == []
    assert bench.stored(batch, "waits_for") == {"reason": BatchWaitReason.CAPACITY}

    bench.redis.delete("connect")
    assert bench.dispatch() == batch.task_ids


def test_nothing_is_sent_when_no_worker_lives(bench: Bench) -> None:
    bench.batch("alice.test")
    bench.redis.flushall()
    assert bench.dispatch() == []


def test_one_dispatcher_at_a_time(bench: Bench) -> None:
    batch = bench.batch("alice.test")
    turns = Turns(bench.redis, redis_depth(bench.redis))
    turn = turns.take()
    assert turn is not None
    assert bench.dispatch() == []

    turns.give_up("not the token")
    assert bench.dispatch() == []
    turns.give_up(turn[1])
    assert bench.dispatch() == batch.task_ids


def test_the_threads_of_all_workers_count(bench: Bench) -> None:
    Heartbeat(bench.redis, threads=3, address="here").beat(renew=True)
    Heartbeat(bench.redis, threads=5, address="here").beat(renew=False)
    assert sorted(live_threads(bench.redis)) == [3, THREADS]


def test_a_run_is_asked_for_now_and_then_only(bench: Bench) -> None:
    for _ in range(20):
        bench.dispatcher.ask()
    assert 1 <= bench.asked < 10


def test_a_row_without_budget_waits_in_the_lane_of_its_host_and_uses_no_attempt(bench: Bench) -> None:
    batch = bench.batch("alice.test")
    bench.platform.errors["alice.test"] = errors.OutOfBudget(host="pds.test", retry_after=60)
    bench.dispatch()
    bench.perform()

    assert bench.rows("status", "attempts", "lane", "outcome") == [(TaskStatus.QUEUED, 0, "pds.test", None)]
    assert bench.dispatch() == []
    bench.change(dispatch_at=from_now(-1), available_at=from_now(-1))
    bench.platform.errors.clear()
    bench.work()
    assert bench.statuses(batch) == [TaskStatus.SUCCEEDED]


def test_a_row_whose_account_has_been_logged_in_to_too_often_says_so(bench: Bench) -> None:
    bench.batch("alice.test")
    bench.platform.errors["alice.test"] = errors.OutOfBudget("Too often.", retry_after=60)
    bench.dispatch()
    bench.perform()
    assert bench.rows("status", "attempts", "lane") == [(TaskStatus.RETRYING, 0, "")]
    assert bench.outcome()["error"]["message"] == "Too often."


def test_a_row_whose_server_failed_still_says_so_when_it_waits_for_its_turn(bench: Bench) -> None:
    bench.batch("alice.test")
    bench.platform.errors["alice.test"] = errors.HostFailing(retry_after=1)
    bench.dispatch()
    bench.perform()
    bench.platform.errors["alice.test"] = errors.OutOfBudget(host="pds.test", retry_after=60)
    bench.change(dispatch_at=from_now(-1), available_at=from_now(-1))
    bench.dispatch()
    bench.perform()
    assert bench.rows("status", "attempts") == [(TaskStatus.RETRYING, 0)]
    assert bench.outcome()["error"]["code"] == errors.UpstreamFailed.code


def test_a_lane_gets_what_its_host_has_room_for_and_the_batch_says_what_it_waits_for(bench: Bench) -> None:
    batch = bench.batch(*people(10))
    bench.change(lane="pds.test")
    bench.rooms.given["pds.test"] = room(requests=2.9, wait=60.0, seconds=0.0)

    assert bench.dispatch() == batch.task_ids[:3]
    waits_for = bench.stored(batch, "waits_for")
    assert isinstance(waits_for, dict)
    assert waits_for.pop("until")
    assert waits_for == {"reason": BatchWaitReason.RATE_LIMIT, "host": "pds.test", "budget": str(BUDGET)}
    assert bench.dispatch() == []


def test_a_dead_host_does_not_hold_up_the_others(bench: Bench) -> None:
    dead, well = bench.batch(*people(40, "dead.test")), bench.batch(*people(40, "well.test"))
    bench.change(lane="dead.test")
    with bench.database.write() as connection:
        connection.execute(update(connect_tasks).where(connect_tasks.c.batch_id == well.id).values(lane="well.test"))
    bench.rooms.given["dead.test"] = room(seconds=15.0)
    hanging: set[str] = set()
    for _ in range(20):
        sent = set(bench.dispatch())
        hanging |= sent & {*dead.task_ids}
        for message in bench.messages:
            if not {*message} & {*dead.task_ids}:
                bench.performer.perform_rows(message)
        bench.messages.clear()

    assert set(bench.statuses(well)) == {TaskStatus.SUCCEEDED}
    assert len(hanging) == 2


def test_workspaces_take_turns(bench: Bench) -> None:
    large, small = bench.batch(*people(300)), bench.batch(*people(20))
    runs = 0
    while TaskStatus.QUEUED in bench.statuses(small):
        bench.dispatch()
        bench.perform()
        runs += 1

    assert runs <= 2
    assert bench.statuses(large).count(TaskStatus.SUCCEEDED) <= 20 + 2 * 16


def test_a_row_that_fails_waits_in_the_table(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test")
    bench.platform.errors["alice.test"] = errors.UpstreamFailed()
    bench.dispatch()
    bench.perform()

    assert bench.statuses(batch) == [TaskStatus.RETRYING, TaskStatus.SUCCEEDED]
    assert bench.rows("attempts", batch=batch) == [(1,), (1,)]
    bench.change(dispatch_at=from_now(5))
    bench.dispatch()
    waits_for = bench.stored(batch, "waits_for")
    assert isinstance(waits_for, dict)
    assert waits_for["reason"] == BatchWaitReason.RETRY


def test_a_server_that_fails_ends_its_rows_with_its_own_error(bench: Bench) -> None:
    batch = bench.batch("alice.test")
    bench.platform.errors["alice.test"] = errors.HostFailing(retry_after=30)
    bench.dispatch()
    bench.perform()
    (lives_on,) = bench.lives()
    assert 800 < lives_on <= 900

    bench.change(expires_at=from_now(400), dispatch_at=from_now(-1), available_at=from_now(-1))
    bench.dispatch()
    bench.perform()
    (lives_on,) = bench.lives()
    assert lives_on <= 400

    # Not asked again for want of room, it has still failed for its server's sake.
    bench.platform.errors["alice.test"] = errors.OutOfBudget(host="pds.test", retry_after=30)
    bench.change(dispatch_at=from_now(-1), available_at=from_now(-1))
    bench.dispatch()
    bench.perform()
    bench.change(expires_at=from_now(-1), sweep_at=from_now(-1))
    bench.settlement.sweep(limit=10)
    assert bench.rows("status", "cause", batch=batch) == [(TaskStatus.FAILED, "upstream_error")]
    error = Outcome.from_row(bench.outcome()).error
    assert error is not None
    assert error.retry_policy is not None
    assert not error.retry_policy.will_retry


def test_a_row_whose_turn_never_came_expires(bench: Bench) -> None:
    batch = bench.batch("alice.test")
    bench.change(expires_at=from_now(-1), sweep_at=from_now(-1))
    bench.settlement.sweep(limit=10)
    assert bench.statuses(batch) == [TaskStatus.EXPIRED]


def test_rows_whose_message_was_lost_are_sent_again(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test")
    assert bench.dispatch() == batch.task_ids
    bench.messages.clear()
    assert bench.dispatch() == []

    bench.change(sweep_at=from_now(-1))
    assert bench.settlement.sweep(limit=10) == []
    bench.work()
    assert bench.statuses(batch) == [TaskStatus.SUCCEEDED] * 2


def test_a_message_that_comes_twice_logs_in_once(bench: Bench) -> None:
    bench.batch("alice.test", "bob.test")
    bench.dispatch()
    bench.messages *= 2
    bench.perform()
    assert bench.platform.logins == ["alice.test", "bob.test"]


def test_rows_whose_message_the_queue_does_not_take_wait_again(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test")
    bench.is_down = True
    assert bench.dispatch() == []
    bench.is_down = False
    assert bench.dispatch() == batch.task_ids


def test_a_worker_that_stops_gives_back_what_it_has_not_begun(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test")
    bench.dispatch()
    bench.is_stopping = True
    bench.perform()
    assert bench.platform.logins == []
    bench.is_stopping = False
    assert bench.dispatch() == batch.task_ids


def test_a_worker_that_is_ended_gives_back_the_rest_of_a_message(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test", "carol.test")
    bench.dispatch()
    with bench.settlement.claimed_rows(batch.task_ids, begun_in=5.0):
        assert bench.settlement.release() == batch.task_ids
    assert bench.settlement.release() == []
    assert sorted(bench.dispatch()) == sorted(batch.task_ids)


def test_a_message_that_takes_long_is_cut_short(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = bench.batch("alice.test", "bob.test")
    bench.dispatch()
    monkeypatch.setattr("worker.perform._ROWS_SECONDS", -1.0)
    bench.perform()
    assert bench.platform.logins == []
    assert bench.dispatch() == batch.task_ids


def test_what_waits_in_a_canceled_batch_is_ended(bench: Bench) -> None:
    batch = bench.batch("alice.test", "bob.test")
    with bench.database.write() as connection:
        connection.execute(update(connect_batches).values(canceled_at=from_now()))
    assert bench.dispatch() == []
    assert (
        bench.rows("status", "cause", "sealed_credentials", batch=batch) == [(TaskStatus.FAILED, "canceled", None)] * 2
    )
    bench.dispatch()
    assert bench.stored(batch, "finished_at") is not None


def test_rows_of_a_canceled_batch_that_were_sent_and_not_begun_are_ended_and_it_waits_for_nothing(bench: Bench) -> None:
    batch = bench.batch(*people(4))
    assert bench.dispatch() == batch.task_ids
    with bench.database.write() as connection:
        connection.execute(update(connect_batches).values(canceled_at=from_now(), waits_for={"reason": "capacity"}))
    bench.dispatch()
    assert bench.rows("status", "cause", batch=batch) == [(TaskStatus.FAILED, "canceled")] * 4
    assert bench.stored(batch, "waits_for") is None
    bench.perform()
    assert bench.platform.logins == []


def test_a_batch_that_never_arrived_whole_is_ended_after_a_day(bench: Bench) -> None:
    batch = bench.batch("alice.test", is_accepted=False)
    with bench.database.write() as connection:
        connection.execute(update(connect_batches).values(created_at=from_now(-86_500)))
    bench.dispatch()
    bench.dispatch()
    assert bench.statuses(batch) == [TaskStatus.FAILED]
    assert bench.stored(batch, "finished_at") is not None


class TestTogether:
    """The rows of a message are claimed and stored together, and each still has its own ending."""

    @staticmethod
    def stored(bench: Bench) -> list[str]:
        with bench.database.read() as connection:
            return sorted(connection.execute(select(accounts.c.account_name)).scalars())

    def test_two_transactions_do_for_all(self, bench: Bench) -> None:
        people = [f"person{number}.test" for number in range(3)]
        batch = bench.batch(*people)
        bench.platform.login_names = {handle: handle for handle in people}
        with transactions(bench.database) as committed:
            bench.performer.perform_rows(batch.task_ids)
        assert bench.statuses(batch) == ["succeeded"] * 3
        assert self.stored(bench) == people
        assert len(committed) == 3  # the claims, a look for names that are connected, the accounts

    def test_one_that_is_in_the_way_holds_up_none(self, bench: Bench) -> None:
        """Two rows that turn out to be the same account, and one whose lease another worker has taken."""
        batch = bench.batch("alice.test", "alice.test", "bob.test", "carol.test")
        bench.platform.before_each = lambda: bench.change_task(batch.task_ids[2], fence=99)
        bench.performer.perform_rows(batch.task_ids)
        assert bench.statuses(batch) == ["succeeded", "failed", "running", "succeeded"]
        assert bench.rows("cause", batch=batch)[1] == ("account_already_connected",)
        assert self.stored(bench) == ["alice.test", "carol.test"]
        assert [account.name for account in bench.platform.ended] == ["alice.test", "bob.test"]

    def test_what_was_verified_is_stored_although_the_message_ends_badly(self, bench: Bench) -> None:
        batch = bench.batch("alice.test", "bob.test")
        bench.platform.throws["bob.test"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            bench.performer.perform_rows(batch.task_ids)
        assert bench.statuses(batch) == ["succeeded", "running"]

    def test_rows_that_are_given_back_have_used_no_attempt(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        batch = bench.batch("alice.test")
        monkeypatch.setattr("worker.perform._ROWS_SECONDS", -1.0)
        bench.performer.perform_rows(batch.task_ids)
        assert bench.rows("status", "attempts", batch=batch) == [("queued", 0)]

    def test_a_name_that_is_connected_is_looked_up_before_its_login(self, bench: Bench) -> None:
        tenant = make_tenant(bench.database)
        bench.platform.login_names = {"alice": "alice.hosted", "bob": "bob.hosted"}
        bench.work_off("alice", tenant=tenant)
        bench.platform.logins.clear()
        again = bench.work_off("alice", "bob", tenant=tenant)
        elsewhere = bench.work_off("alice", tenant=make_tenant(bench.database))
        assert bench.rows("status", "cause", batch=again) == [
            ("failed", "account_already_connected"),
            ("succeeded", None),
        ]
        assert bench.statuses(elsewhere) == ["succeeded"]
        assert bench.platform.logins == ["bob", "alice"]
