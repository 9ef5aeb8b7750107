"""API processes that die or stop while callers wait, and callers who ask for the same at once."""

import signal

from tests.faults.fleet import SHIMS, WORKERS, Fleet
from tests.faults.load import UNTROUBLED, Load
from tests.faults.orders import Point
from tests.faults.verdict import LOGIN, prove
from tests.servers import wait_until

WAITING = 10


def until_callers_wait(fleet: Fleet) -> None:
    """At the first API process, because logins take long."""
    fleet.sandbox.control.login_delay(1.0)
    wait_until(lambda: fleet.waiting_callers(0) >= WAITING, what="callers to wait")


def accepted(fleet: Fleet) -> int:
    """How many connect calls both have let in since they were started."""
    return sum(fleet[name].log.count("connect_accepted") for name in SHIMS)


def test_killed_while_callers_wait(fleet: Fleet) -> None:
    with Load(fleet) as load:
        until_callers_wait(fleet)
        fleet["shim-1"].kill()
        load.until_answered(200)
        fleet["shim-1"].start()
    prove(fleet, load)
    assert load.answers["dropped"] >= WAITING


def test_told_to_stop_while_callers_wait(fleet: Fleet) -> None:
    """Zero failed callers: who waits is answered, and who comes later is not let in."""
    with Load(fleet) as load:
        until_callers_wait(fleet)
        fleet["shim-1"].terminate()
        assert fleet["shim-1"].wait(30) in {0, -signal.SIGTERM}
        log = fleet["shim-1"].log
        fleet["shim-1"].start()
    prove(fleet, load)
    # One that came while the door closed was never read; the log names those that were accepted.
    assert not [request_id for told in load.told for request_id in told.dropped if request_id in log]
    assert load.answers.keys() <= {*UNTROUBLED, "no connection", "dropped"}


def test_fifty_identical_requests_at_once(fleet: Fleet) -> None:
    """Sent to both processes; whoever comes while the first is being tried joins it."""
    before = accepted(fleet)
    fleet.hold(Point.CLAIMED, *WORKERS, threads=0)
    with Load(fleet, [fleet.person()] * 50, per_second=500) as load:
        wait_until(lambda: accepted(fleet) == before + 50, what="all of them to be let in")
        fleet.release(Point.CLAIMED, *WORKERS)
    prove(fleet, load)
    assert len(fleet.sandbox.control.requests(LOGIN)) == 1


def test_fifty_callers_hang_up_and_send_again(fleet: Fleet) -> None:
    """To the other process, which cannot know that the first has nobody to answer any more."""
    fleet.hold(Point.CLAIMED, *WORKERS, threads=0)
    with Load(fleet, [fleet.person()] * 50, per_second=500, silence=1) as load:
        wait_until(lambda: all(told.dropped for told in load.told), what="everybody to hang up")
        assert fleet.tasks_in_flight(load.tenant) == 1
        fleet.release(Point.CLAIMED, *WORKERS)
    prove(fleet, load)
