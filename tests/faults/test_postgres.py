"""Postgres killed and frozen: what it has confirmed is true, what it has not is asked again."""

import time

from tests.faults.fleet import THREADS, WORKERS, Fleet
from tests.faults.load import Load
from tests.faults.orders import Point
from tests.faults.verdict import prove
from tests.processes import frozen
from tests.servers import Postgres

# Every attempt that was under way may have lost its end.
REPEATS = len(WORKERS) * THREADS


def postgres_of(fleet: Fleet) -> Postgres:
    assert fleet.postgres
    return fleet.postgres


def test_killed_and_restarted(fleet: Fleet) -> None:
    with Load(fleet) as load:
        fleet.hold(Point.LOGGED_IN, "worker-1")
        postgres_of(fleet).kill()
        fleet.release(Point.LOGGED_IN, "worker-1")
        load.until_told("503 SERVICE_UNAVAILABLE", 20)
        postgres_of(fleet).start()
    prove(fleet, load, repeats=REPEATS)


def test_frozen_for_10_seconds(fleet: Fleet) -> None:
    """Longer than a lease here, so that the sweep finds attempts whose workers are still about to settle them."""
    with Load(fleet, per_second=20) as load:
        load.until_answered(50)
        with frozen(*postgres_of(fleet).pids):
            time.sleep(10)
    prove(fleet, load, repeats=REPEATS)
