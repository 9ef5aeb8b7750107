"""Turns for the logins of one message: those that would come at once, and not one more."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from connections.errors import OutOfBudget
from connections.rate import Rate
from tests.integration.worker.paced import HOST
from worker.bulkhead import Bulkhead
from worker.pacing import LOGIN_LIMITS, Pacer, bulk
from worker.redis_client import redis_client

# One every twelve seconds.
SCARCE = Rate(300, 3600)
PLENTY = Rate(100_000_000, 60)
PEOPLE = [f"did:plc:{number}" for number in range(8)]


def pacer(client: redis.Redis, budget: Rate = PLENTY) -> Pacer:
    return Pacer(
        client,
        budget=budget,
        interactive_share=0.2,
        egress_address="test",
        bulkhead=Bulkhead({HOST}),
        sleep=lambda _: None,
    )


@pytest.fixture
def some(client: redis.Redis) -> Pacer:
    """That has asked once. A host that nobody has asked has one turn now, like any other moment; the next ones come
    every half a microsecond, and those of the meantime are there at once."""
    some = pacer(client)
    some.take(HOST, deadline=time.monotonic() + 5)
    assert made(client) == 0
    return some


def log_in(pacer: Pacer, account: str) -> None:
    with bulk():
        pacer.take(HOST, deadline=time.monotonic() + 5, login_of=account)


def made(client: redis.Redis) -> int:
    """Requests that the host's budget counts, beside the first."""
    return int(client.hget(f"connector:pace:test:{HOST}", "count") or 0) - 1


def logins_of(client: redis.Redis, account: str) -> int:
    return int(client.get(f"connector:pace:test:{HOST}:{account}:{LOGIN_LIMITS[0].seconds}") or 0)


@contextmanager
def counting_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    calls: list[str] = []
    real: Any = redis.Redis.execute_command

    def execute(self: redis.Redis, *arguments: object, **options: object) -> object:
        calls.append(str(arguments[0]))
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "execute_command", execute)
        yield calls


def test_one_call_is_enough_for_all(some: Pacer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    with some.ahead(HOST, PEOPLE), counting_calls(monkeypatch) as calls:
        for person in PEOPLE:
            log_in(some, person)
    assert calls == []
    assert made(client) == len(PEOPLE)
    assert [logins_of(client, person) for person in PEOPLE] == [1] * len(PEOPLE)


def test_what_is_not_used_goes_back(some: Pacer, client: redis.Redis) -> None:
    with some.ahead(HOST, PEOPLE):
        log_in(some, PEOPLE[0])
        log_in(some, PEOPLE[3])
    assert made(client) == 2
    assert [logins_of(client, person) for person in PEOPLE] == [1, 0, 0, 1, 0, 0, 0, 0]


def test_turns_that_would_come_later_are_not_taken(client: redis.Redis) -> None:
    """A message must not hold what another could use sooner: only what the line may lag is there at once."""
    scarce = pacer(client, SCARCE)
    with scarce.ahead(HOST, PEOPLE):
        assert [logins_of(client, person) for person in PEOPLE] == [1] + [0] * 7
        with scarce.ahead(HOST, ["did:plc:another"]):
            assert logins_of(client, "did:plc:another") == 0
        with pytest.raises(OutOfBudget):
            log_in(scarce, PEOPLE[1])


def test_an_account_whose_window_is_full_has_none(some: Pacer, client: redis.Redis) -> None:
    for _ in range(LOGIN_LIMITS[0].count):
        log_in(some, PEOPLE[1])
    with some.ahead(HOST, PEOPLE[:3]):
        log_in(some, PEOPLE[0])
        with pytest.raises(OutOfBudget, match="too often"):
            log_in(some, PEOPLE[1])
        log_in(some, PEOPLE[2])
    assert logins_of(client, PEOPLE[1]) == LOGIN_LIMITS[0].count


def test_a_turn_serves_one_login(some: Pacer, client: redis.Redis) -> None:
    with some.ahead(HOST, PEOPLE[:1]):
        log_in(some, PEOPLE[0])
        log_in(some, PEOPLE[0])
    assert made(client) == logins_of(client, PEOPLE[0]) == 2


def test_and_only_the_thread_that_took_it(some: Pacer, client: redis.Redis) -> None:
    with some.ahead(HOST, PEOPLE[:1]):
        other = threading.Thread(target=log_in, args=(some, PEOPLE[0]))
        other.start()
        other.join()
    assert made(client) == logins_of(client, PEOPLE[0]) == 1


def test_a_refusal_makes_them_worthless(some: Pacer, client: redis.Redis) -> None:
    """Each would be another request to a host that has said stop."""
    with some.ahead(HOST, PEOPLE):
        log_in(some, PEOPLE[0])
        some.learn(HOST, "POST", 429, {"retry-after": "50"}, 0.1)
        for person in PEOPLE[1:]:
            with pytest.raises(OutOfBudget) as caught:
                log_in(some, person)
            assert caught.value.host == HOST
    assert [logins_of(client, person) for person in PEOPLE] == [1] + [0] * 7


def test_none_while_a_host_stands_still(some: Pacer, client: redis.Redis) -> None:
    some.learn(HOST, "POST", 429, {"retry-after": "50"}, 0.1)
    with some.ahead(HOST, PEOPLE):
        assert made(client) == 0


def test_without_redis_nobody_waits() -> None:
    nowhere = redis_client("redis://127.0.0.1:1/0")
    some = pacer(nowhere)
    with some.ahead(HOST, PEOPLE):
        log_in(some, PEOPLE[0])
    nowhere.close()
