"""One fleet for all faults, mended before each."""

from collections.abc import Iterator

import pytest

from tests.faults.fleet import Fleet, running_fleet


@pytest.fixture(scope="session")
def the_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(the_fleet: Fleet) -> Fleet:
    the_fleet.heal()
    return the_fleet
