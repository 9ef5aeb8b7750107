"""`connector up` on SQLite and its own Valkey: one command that starts everything and leaves nothing behind."""

import signal
from pathlib import Path

import psutil

from tests.integration.cli.connector import running_connector, still_alive


def test_ctrl_c_ends_everything_well(tmp_path: Path) -> None:
    with running_connector(tmp_path, "up", WORKERS="2") as connector:
        connector.wait_for(f"ready at {connector.url}")
        family = connector.family
        assert len(family) == 5  # valkey, two workers, beat, api

        assert connector.signal(signal.SIGINT) == 0
        assert still_alive(family) == []

    lines = connector.output.splitlines()
    assert lines[0] == "connector │ starting"
    assert lines[-1] == "connector │ stopped"
    for complaint in ("Traceback", "Warning", "[warning", "[error"):
        assert complaint not in connector.output


def test_nothing_outlives_a_kill(tmp_path: Path) -> None:
    with running_connector(tmp_path, "up") as connector:
        connector.wait_for(f"ready at {connector.url}")
        family = connector.family

        connector.signal(signal.SIGKILL)

        assert still_alive(family) == []


def test_a_part_that_dies_takes_all_with_it(tmp_path: Path) -> None:
    with running_connector(tmp_path, "up") as connector:
        connector.wait_for(f"ready at {connector.url}")
        family = connector.family
        worker = next(process for process in family if process.cmdline()[-1] == "worker")

        psutil.Process(worker.pid).kill()

        assert connector.wait() == 1
        assert still_alive(family) == []
    assert "connector │ worker was ended by SIGKILL; stopping the others" in connector.output
