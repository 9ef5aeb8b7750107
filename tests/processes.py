"""Processes of ours, started by tests and ended by their pid."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.process import end

ROOT = Path(__file__).parent.parent
GRACE_SECONDS = 30.0


@contextlib.contextmanager
def running(command: list[str], *, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m …` with these settings; both streams go to `log`. Terminated at the end, killed if it stays."""
    process = start(command, environment=environment, log=log)
    try:
        yield process
    finally:
        end(process, grace=GRACE_SECONDS)


def start(command: list[str], *, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """As `running`, for whoever ends it by other means."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stops the processes as they stand; afterwards they go on as if nothing had been."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # one that was ended in between
                os.kill(pid, signal.SIGCONT)


def worker_command(*options: str) -> list[str]:
    return ["cli", "worker", *options]


def beat_command() -> list[str]:
    return ["cli", "beat"]


def api_command(port: int) -> list[str]:
    return ["cli", "api", "--port", str(port)]
