"""When a host is left alone, and when it is tried again."""

from contextlib import suppress

import pytest

from connections.errors import CredentialsRejected, HostFailing, OutOfBudget, UpstreamFailed, UpstreamRateLimited
from worker.circuit import (
    ACCOUNTS,
    FAILURES,
    FAIR_SECONDS,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PROBE_SECONDS,
    Circuits,
)

HOST = "https://pds.test"
IN_TIME = float("inf")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuits(clock: Clock) -> Circuits:
    return Circuits(clock=clock)


def fail(circuits: Circuits, account: str = "alice", host: str = HOST) -> None:
    with pytest.raises(UpstreamFailed) as caught, circuits.watch(host, account, deadline=IN_TIME):
        raise UpstreamFailed
    assert not isinstance(caught.value, HostFailing)


def answer(circuits: Circuits, host: str = HOST) -> None:
    with circuits.watch(host, "alice", deadline=IN_TIME):
        pass


def open_circuit(circuits: Circuits) -> None:
    for number in range(FAILURES):
        fail(circuits, f"account {number % ACCOUNTS}")


def wait_of(circuits: Circuits) -> float | None:
    """Seconds until the host may be called; None when it may be called now. Calls nothing."""
    with pytest.raises(HostFailing) as caught, circuits.watch(HOST, "alice", deadline=IN_TIME):
        pytest.fail("the host was called")
    return caught.value.retry_after


def test_a_host_that_fails_for_everyone_is_left_alone(circuits: Circuits) -> None:
    open_circuit(circuits)

    assert wait_of(circuits) == FIRST_PAUSE_SECONDS


def test_other_hosts_are_called_all_the_same(circuits: Circuits) -> None:
    open_circuit(circuits)

    answer(circuits, "https://other.test")


def test_one_account_proves_nothing_about_its_host(circuits: Circuits) -> None:
    for _ in range(5 * FAILURES):
        fail(circuits, "alice")

    answer(circuits)


@pytest.mark.parametrize("outcome", [CredentialsRejected(), UpstreamRateLimited()], ids=repr)
def test_a_refusal_is_an_answer_and_starts_the_count_anew(circuits: Circuits, outcome: Exception) -> None:
    for _ in range(10):
        for number in range(FAILURES - 1):
            fail(circuits, f"account {number}")
        with suppress(type(outcome)), circuits.watch(HOST, "alice", deadline=IN_TIME):
            raise outcome

    answer(circuits)


def test_a_bug_of_ours_tells_nothing_about_the_host(circuits: Circuits) -> None:
    for number in range(FAILURES - 1):
        fail(circuits, f"account {number}")
    with pytest.raises(ZeroDivisionError), circuits.watch(HOST, "alice", deadline=IN_TIME):
        raise ZeroDivisionError
    fail(circuits)

    assert wait_of(circuits) == FIRST_PAUSE_SECONDS


def test_after_the_pause_one_call_finds_out(circuits: Circuits, clock: Clock) -> None:
    open_circuit(circuits)
    clock.now += FIRST_PAUSE_SECONDS

    with circuits.watch(HOST, "alice", deadline=IN_TIME):
        assert wait_of(circuits) == FIRST_PAUSE_SECONDS  # all others wait for what it finds, which may be soon
    answer(circuits)


def test_a_probe_that_fails_doubles_the_pause_up_to_a_limit(circuits: Circuits, clock: Clock) -> None:
    open_circuit(circuits)
    pauses = []
    for _ in range(6):
        pause = wait_of(circuits)
        assert pause is not None
        pauses.append(pause)
        clock.now += pause
        fail(circuits)

    assert pauses == [2, 4, 8, 16, LONGEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS]


def test_calls_that_were_under_way_do_not_lengthen_the_pause(circuits: Circuits) -> None:
    with suppress(UpstreamFailed), circuits.watch(HOST, "alice", deadline=IN_TIME):
        open_circuit(circuits)
        raise UpstreamFailed

    assert wait_of(circuits) == FIRST_PAUSE_SECONDS


def test_a_call_that_was_under_way_and_succeeds_closes_it(circuits: Circuits) -> None:
    with circuits.watch(HOST, "alice", deadline=IN_TIME):
        open_circuit(circuits)

    answer(circuits)


def test_a_probe_that_is_lost_is_replaced(circuits: Circuits, clock: Clock) -> None:
    open_circuit(circuits)
    clock.now += FIRST_PAUSE_SECONDS
    with pytest.raises(KeyboardInterrupt), circuits.watch(HOST, "alice", deadline=IN_TIME):
        raise KeyboardInterrupt
    clock.now += PROBE_SECONDS

    answer(circuits)


def test_another_hosts_circuit_met_on_the_way_is_no_failure_of_this_one(circuits: Circuits) -> None:
    open_circuit(circuits)
    for number in range(2 * FAILURES):
        on_the_way = circuits.watch("https://other.test", str(number), deadline=IN_TIME)
        with suppress(HostFailing), on_the_way, circuits.watch(HOST, "alice", deadline=IN_TIME):
            pytest.fail("the host was called")

    answer(circuits, "https://other.test")


def test_what_strangers_name_is_forgotten_in_time(circuits: Circuits) -> None:
    for number in range(10_000):
        fail(circuits, host=f"https://{number}.test")

    assert len(circuits._hosts) < 5_000


def fail_late(circuits: Circuits, clock: Clock, account: str) -> None:
    with suppress(UpstreamFailed), circuits.watch(HOST, account, deadline=clock.now + FAIR_SECONDS - 0.1):
        raise UpstreamFailed


def test_a_call_that_others_left_no_time_proves_nothing_about_the_host(circuits: Circuits, clock: Clock) -> None:
    for number in range(5 * FAILURES):
        fail_late(circuits, clock, f"account {number}")

    answer(circuits)


def test_a_call_that_others_left_no_time_is_no_probe(circuits: Circuits, clock: Clock) -> None:
    open_circuit(circuits)
    clock.now += FIRST_PAUSE_SECONDS
    with pytest.raises(HostFailing), circuits.watch(HOST, "alice", deadline=clock.now + FAIR_SECONDS - 0.1):
        pytest.fail("the host was called")

    answer(circuits)


def run_out_of_budget(circuits: Circuits) -> None:
    with pytest.raises(OutOfBudget), circuits.watch(HOST, "alice", deadline=IN_TIME):
        raise OutOfBudget(host=HOST)


def test_a_call_that_was_never_made_is_no_answer(circuits: Circuits) -> None:
    for number in range(FAILURES):
        run_out_of_budget(circuits)
        fail(circuits, f"account {number}")
    with pytest.raises(HostFailing), circuits.watch(HOST, "alice", deadline=IN_TIME):
        pass


def test_a_probe_that_was_never_made_is_the_next_callers(circuits: Circuits, clock: Clock) -> None:
    open_circuit(circuits)
    clock.now += FIRST_PAUSE_SECONDS
    run_out_of_budget(circuits)
    fail(circuits)
    with pytest.raises(HostFailing) as caught, circuits.watch(HOST, "alice", deadline=IN_TIME):
        pass
    assert caught.value.retry_after == 2 * FIRST_PAUSE_SECONDS
