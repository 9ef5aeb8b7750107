"""A process loads the driver of its own database."""

import subprocess
import sys

import pytest

from tests.processes import ROOT

_LOAD = """
import sys
from connections.db import Database
Database(sys.argv[1]).close()
print(*sorted({"psycopg", "sqlite3"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("url", "driver"),
    [("sqlite:///never-opened.db", "sqlite3"), ("postgresql+psycopg://127.0.0.1:1/nobody", "psycopg")],
)
def test_the_other_driver_is_not_loaded(url: str, driver: str) -> None:
    command = [sys.executable, "-c", _LOAD, url]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [driver]
