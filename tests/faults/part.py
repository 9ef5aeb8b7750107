"""One process of a fleet: started, killed, stopped, and started again."""

import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from sandbox.process import end
from tests.processes import GRACE_SECONDS, start


class Part:
    """A process with a name and a log of its own. The log goes on when it is started again."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = log
        self._started_at = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What it has said since it was last started."""
        return self._log.read_bytes()[self._started_at :].decode(errors="replace")

    @property
    def whole_log(self) -> str:
        """What it has said since it was first started."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        self._started_at = self._log.stat().st_size if self._log.exists() else 0
        self._process = start(self._command, environment=self._environment, log=self._log)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """The exit status. Raises `subprocess.TimeoutExpired`."""
        assert self._process is not None
        return self._process.wait(seconds)

    def end(self) -> None:
        """Terminated, killed if it stays; one that has ended is left alone."""
        if self._process is not None and self.is_running:
            end(self._process, grace=GRACE_SECONDS)
