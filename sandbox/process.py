"""The sandbox as a process of its own, for fixtures of tests and for benchmarks."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.client import ControlClient, SandboxAccount

_ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class SandboxProcess:
    """Runs `python -m sandbox` with `arguments` while the context is open.

    Within it: `pds_url`, `plc_url`, `dns_address` (`127.0.0.1:port`), `hosts` (URL by name), `control`, and
    `accounts`, the ones of the command line. Raises RuntimeError when the sandbox is not ready in 30 seconds.
    """

    def __init__(self, *arguments: str) -> None:
        self._arguments: Sequence[str] = arguments
        self._process: subprocess.Popen[str] | None = None
        self.pds_url = ""
        self.plc_url = ""
        self.dns_address = ""
        self.hosts: dict[str, str] = {}
        self.accounts: list[SandboxAccount] = []
        self._control: ControlClient | None = None

    @property
    def control(self) -> ControlClient:
        """The client of the control API."""
        assert self._control is not None, "the sandbox is not running"
        return self._control

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the sandbox is not running"
        return self._process.pid

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "sandbox", "--parent-pid", str(os.getpid()), *self._arguments]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
        try:
            self._take(json.loads(self._first_line(self._process)))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _take(self, where: dict[str, Any]) -> None:
        self.pds_url, self.plc_url, self.dns_address = where["pds"], where["plc"], where["dns"]
        self.hosts = where["hosts"]
        self.accounts = [SandboxAccount(**account, host="pds") for account in where["accounts"]]
        self._control = ControlClient(where["control"])

    @staticmethod
    def _first_line(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], _READY_SECONDS)
        line = process.stdout.readline() if readable else ""
        if not line:
            raise RuntimeError("the sandbox did not start; its error output says why")
        return line

    def _stop(self) -> None:
        process, self._process, self._control = self._process, None, None
        if process is None:
            return
        end(process, grace=_STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()


def end(process: "subprocess.Popen[Any]", *, grace: float) -> None:
    """Asks the process to end, and kills it when it still runs `grace` seconds later."""
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
