"""The database that needs no server: its locks are files, and whoever dies must leave none behind."""

import pytest

from tests.faults.fleet import THREADS, running_fleet
from tests.faults.load import Load
from tests.faults.orders import Point
from tests.faults.verdict import prove


def test_worker_and_api_killed_and_valkey_flushed(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_fleet(tmp_path_factory.mktemp("sqlite_fleet"), on_sqlite=True) as fleet:
        with Load(fleet) as load, fleet.valkey.client() as client:
            fleet.hold(Point.LOGGED_IN, "worker-1")
            fleet["worker-1"].kill()
            fleet.release(Point.LOGGED_IN, "worker-1")
            client.flushall()
            fleet["shim-1"].kill()
            for name in ("worker-1", "shim-1"):
                fleet[name].start()
        prove(fleet, load, repeats=THREADS)
