"""When the end is over, and what it wakes."""

import threading

import pytest

from connections.errors import ServiceUnavailable
from worker.running import Running
from worker.shutdown import Shutdown

FOREVER = 3600.0


class FakeSettlement:
    def __init__(self, released: list[str] | None = None) -> None:
        self._released = released

    def release(self) -> list[str]:
        if self._released is None:
            raise ServiceUnavailable
        return self._released


@pytest.fixture
def running() -> Running:
    return Running()


def shutdown(running: Running, grace_seconds: float, released: list[str] | None = None) -> Shutdown:
    return Shutdown(running, FakeSettlement(released), grace_seconds=grace_seconds)  # type: ignore[arg-type]


def test_there_is_nothing_to_wait_for_when_nothing_runs(running: Running) -> None:
    end = shutdown(running, FOREVER)
    end.begin()
    assert end.is_over()


def test_what_runs_has_the_grace_period_from_the_first_beginning(running: Running) -> None:
    with running.entered("ct_1"):
        end = shutdown(running, FOREVER)
        assert not end.is_over()
        end.begin()
        end.begin()
        assert not end.is_over()
    assert end.is_over()


def test_a_grace_period_ends(running: Running) -> None:
    end = shutdown(running, 0.0)
    with running.entered("ct_1"):
        assert not end.is_over()
        end.begin()
        assert end.is_over()


def test_a_hurried_end_does_not_wait(running: Running) -> None:
    end = shutdown(running, FOREVER)
    with running.entered("ct_1"):
        end.begin()
        end.hurry()
        assert end.is_over()


def test_a_pause_between_two_attempts_ends_when_the_end_begins(running: Running) -> None:
    end = shutdown(running, FOREVER)
    pausing = threading.Thread(target=end.pause, args=(FOREVER,), daemon=True)
    pausing.start()
    end.begin()
    pausing.join(10)
    assert not pausing.is_alive()


def test_a_database_that_is_away_stops_no_end(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    shutdown(running, FOREVER, None).release()
    shutdown(running, FOREVER, ["ct_1"]).release()

    told = capsys.readouterr().out
    assert "leases_not_released" in told
    assert "ct_1" in told
