"""The version before this one, and this one, as processes side by side.

The wheel here is the last version that was released: at each release the new one takes its place. It runs on this
checkout's packages, as a lock that both versions share would have it.
"""

import contextlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from sandbox.process import end
from tests.processes import GRACE_SECONDS, ROOT

(WHEEL,) = Path(__file__).parent.glob("connector-*.whl")


class Version(StrEnum):
    OLD = "old"
    NEW = "new"


def unpack(directory: Path) -> dict[Version, Path]:
    """Where the packages of each version are."""
    old = directory / "old"
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(old)
    return {Version.OLD: old, Version.NEW: ROOT}


@contextlib.contextmanager
def running(root: Path, *command: str, environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m cli …` of the version at `root`. Terminated at the end, killed if it stays."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", *command],
            cwd=root,  # the first place that `-m` looks at
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield process
    finally:
        end(process, grace=GRACE_SECONDS)
