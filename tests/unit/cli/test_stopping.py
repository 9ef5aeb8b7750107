"""Whatever kills a worker that does not end waits until the worker has given itself up."""

import re

import pytest

from connections.settings import Settings
from tests.processes import ROOT

TOLD = {
    "Dockerfile": r"docker stop --time (\d+)",
    "docker-compose.yml": r"stop_grace_period: (\d+)s",
    "docs/operations.md": r"TimeoutStopSec=(\d+)",
}


@pytest.mark.parametrize(("name", "pattern"), TOLD.items(), ids=TOLD)
def test_a_worker_has_time_to_end_by_itself(name: str, pattern: str) -> None:
    """Ten seconds after its grace period the watchdog steps in, and waits five more (docs/operations.md)."""
    (seconds,) = re.findall(pattern, (ROOT / name).read_text())

    assert int(seconds) > Settings().grace_seconds + 15
