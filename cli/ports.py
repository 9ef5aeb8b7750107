"""TCP ports on this machine."""

import errno
import socket

from cli.failures import CommandFailed

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def require_free(host: str, port: int) -> None:
    """Raises `CommandFailed` when nobody could listen there."""
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandFailed(f"port {port} is taken; choose another, for example PORT={port + 1}") from None
        raise CommandFailed(f"cannot listen on {host} port {port}: {error.strerror}") from None
