"""`connector` as a process of its own, and every process it starts."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.processes import ROOT
from tests.servers import free_port, wait_until

START_SECONDS = 60.0


class Connector:
    """A running `connector up` or `connector demo`."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def family(self) -> list[psutil.Process]:
        """Every process it has started, directly or not."""
        return list(psutil.Process(self._process.pid).children(recursive=True))

    def wait_for(self, text: str) -> None:
        """Waits until it has printed this."""
        wait_until(lambda: self._has_printed(text), what=f"{text!r} in {self._log}", seconds=START_SECONDS)

    def signal(self, number: int) -> int:
        """Sends it and returns the exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        return self._process.wait(timeout=60)

    def _has_printed(self, text: str) -> bool:
        output = self.output
        assert self._process.poll() is None, f"it ended with status {self._process.returncode}:\n{output}"
        return text in output


@contextlib.contextmanager
def running_connector(directory: Path, *arguments: str, **variables: str) -> Iterator[Connector]:
    """`connector …` in `directory`, its files in `var` there, on a free port. Killed at the end if it still runs."""
    port = free_port()
    log = directory / f"output-{port}.log"
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
        "CONNECTOR_VAR_DIR": str(directory / "var"),
        "PORT": str(port),
        **variables,
    }
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield Connector(process, f"http://127.0.0.1:{port}", log)
    finally:
        process.kill()
        process.wait()


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended ten seconds from now."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    return list(alive)
