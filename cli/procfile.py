"""Procfiles: the processes of a service, `name: command` a line.

As https://devcenter.heroku.com/articles/procfile has it, but without a shell: a command is a program and its arguments.
"""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from cli.failures import CommandFailed

# What a platform runs once, before the others. `connector up` looks after the tables itself.
RELEASE = "release"

_PROCESS = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(\S.*)")


def read_procfile(path: Path) -> dict[str, list[str]]:
    """Program and arguments of each process that runs for ever, in the order of the file.

    Programs of our own environment go before those of PATH. Raises `CommandFailed` with what is wrong and where.
    """
    processes: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _PROCESS.fullmatch(line.strip())
        if match is None:
            raise CommandFailed(
                f"{path}, line {number}: must be a name and a command, such as `worker: connector worker`"
            )
        name, command = match.groups()
        if name in processes:
            raise CommandFailed(f"{path}, line {number}: {name!r} is there twice")
        if name != RELEASE:
            processes[name] = _arguments(command, where=f"{path}, line {number}")
    if not processes:
        raise CommandFailed(f"{path} lists no process")
    return processes


def _arguments(command: str, *, where: str) -> list[str]:
    try:
        program, *arguments = shlex.split(command)
    except ValueError as error:
        raise CommandFailed(f"{where}: {error}") from None
    ours = Path(sys.executable).parent
    found = shutil.which(program, path=f"{ours}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        raise CommandFailed(f"{where}: there is no program {program!r}")
    return [found, *arguments]
