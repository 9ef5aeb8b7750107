"""Workers that are killed, frozen, and wrong about the time."""

import pytest

from sandbox.faults import Status
from tests.faults.fleet import LOGIN_SECONDS, THREADS, Fleet
from tests.faults.load import UNTROUBLED, Load
from tests.faults.orders import Point
from tests.faults.verdict import LOGIN, prove


def test_no_fault_at_all(fleet: Fleet) -> None:
    """What the verdict says of a quiet day: it must be content without an allowance."""
    with Load(fleet) as load:
        pass
    prove(fleet, load)
    assert load.answers.keys() <= UNTROUBLED


@pytest.mark.parametrize(
    ("point", "repeats"),
    [(Point.CLAIMED, 0), (Point.LOGGED_IN, THREADS), (Point.SETTLED, 0)],
    ids=["before the login", "after the login, not settled", "settled, not acknowledged"],
)
def test_worker_killed(fleet: Fleet, point: Point, repeats: int) -> None:
    """Every one of its threads is at the point when it dies, and it is started again, as a service manager does."""
    with Load(fleet) as load:
        fleet.hold(point, "worker-1")
        fleet["worker-1"].kill()
        fleet.release(point, "worker-1")
        fleet["worker-1"].start()
    prove(fleet, load, repeats=repeats)


def test_worker_that_was_given_up_comes_back_with_a_success(fleet: Fleet) -> None:
    """Its leases have run out, the other worker has done the work: what it has in hand now counts for nothing."""
    with Load(fleet) as load:
        held = fleet.hold(Point.LOGGED_IN, "worker-1")
        fleet.until_ended(held)
        fleet.release(Point.LOGGED_IN, "worker-1")
    # Each of its logins was repeated; each of its sessions must be ended.
    prove(fleet, load, repeats=THREADS, sessions=0)


def test_worker_that_was_given_up_comes_back_with_a_failure(fleet: Fleet) -> None:
    """What it would plan for later is being done by the other worker: its plan must not send for a third."""
    with Load(fleet) as load:
        failing = fleet.sandbox.control.order(Status(status=503, method=LOGIN))
        held = fleet.hold(Point.FAILED, "worker-1", threads=6)  # fewer than open its circuit
        fleet.sandbox.control.cancel(failing)
        fleet.sandbox.control.login_delay(1.0)  # so that they are in the middle of it for a while
        fleet.until_claimed_again(held, count=4)
        fleet.release(Point.FAILED, "worker-1")
        fleet.sandbox.control.login_delay(LOGIN_SECONDS)
    prove(fleet, load)


def test_clock_of_one_worker_steps_by_a_minute(fleet: Fleet) -> None:
    """Leases go by the database's clock; what a worker reads from its own must do no harm."""
    with Load(fleet) as load:
        for answered, seconds in ((50, 60.0), (100, -60.0), (150, 0.0)):
            load.until_answered(answered)
            fleet.orders.set_clock("worker-1", seconds)
    prove(fleet, load)


def test_busy_worker_told_to_stop(fleet: Fleet) -> None:
    """Zero failed callers: what runs is finished, what waits goes to the other worker."""
    with Load(fleet) as load:
        load.until_answered(50)
        fleet["worker-1"].terminate()
        assert fleet["worker-1"].wait(30) == 0
        fleet["worker-1"].start()
    prove(fleet, load)
    assert load.answers.keys() <= UNTROUBLED
