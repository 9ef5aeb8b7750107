"""Where the service is and with which key, for commands that work on one."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import typer

from cli.failures import CommandFailed

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Access:
    url: str
    api_key: str = field(repr=False)


def find_access(url: str | None, api_key: str | None) -> Access:
    """What is not given is taken from the local service's `dev.env`, in development, and that is said.

    Its key goes to that service only. Raises `CommandFailed` when there is no key.
    """
    local = {} if api_key and url else _local_service()
    local_url = local.get("CONNECTOR_URL")
    wanted_url = (url or local_url or DEFAULT_URL).rstrip("/")
    key = api_key or (local.get("UNIPOST_API_KEY") if wanted_url == local_url else None)
    if not key:
        raise CommandFailed("set UNIPOST_API_KEY to an API key of your workspace")
    missing = [name for name, given in (("CONNECTOR_URL", url), ("UNIPOST_API_KEY", api_key)) if not given]
    if local and missing:
        typer.echo(f"connector: {' and '.join(missing)} from {_dev_env()}, the local service at {wanted_url}", err=True)
    return Access(wanted_url, key)


def _local_service() -> dict[str, str]:
    if os.environ.get("CONNECTOR_ENV", "development") != "development":
        return {}
    from cli.dev_env import read_dev_env

    return read_dev_env(_dev_env())


def _dev_env() -> Path:
    return Path(os.environ.get("CONNECTOR_VAR_DIR") or "var") / "dev.env"
