"""What runs together: API, workers, beat, and an embedded Valkey where there is no other."""

import asyncio
import sys
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.ports import LOOPBACK, require_free
from cli.printer import OWN_NAME, Printer
from cli.queue_url import forget_redis_url, note_redis_url
from cli.supervisor import Command, Supervisor
from cli.tables import migrate_tables, open_database
from cli.valkey import EmbeddedValkey
from connections.folders import make_private
from connections.messages import WORKER_ALIVE_KEY
from connections.settings import Settings
from connections.vault import ensure_development_keys

_START_SECONDS = 60.0
# What a part may take to stop beyond its grace period: a worker's watchdog ends it ten seconds after.
_FINISH_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Where the API listens, and how many worker processes there are.

    `processes`, if given, are run instead of the usual ones, in their order: program and arguments by name.
    """

    host: str
    port: int
    workers: int
    processes: Mapping[str, list[str]] | None = None

    @property
    def url(self) -> str:
        """Where this machine reaches the API."""
        host = LOOPBACK if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104  compared, not listened on
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def prepare(settings: Settings, shape: Shape) -> None:
    """Makes tables and keys in development; production must have them. Raises `CommandFailed` or `SettingsError`."""
    require_free(shape.host, shape.port)
    if settings.is_production:
        with open_database(settings):
            return
    migrate_tables(settings)
    ensure_development_keys(settings)


def up(settings: Settings, shape: Shape) -> int:
    """Runs everything until it is told to stop. Returns the exit status."""
    prepare(settings, shape)
    return run_stack(settings, _up(settings, shape))


def run_stack(settings: Settings, running: Coroutine[Any, Any, int]) -> int:
    """Runs what `start`s a stack, and then takes back what other commands were told of its queue."""
    try:
        return asyncio.run(running)
    finally:
        forget_redis_url(settings)


async def _up(settings: Settings, shape: Shape) -> int:
    printer = Printer()
    printer.line(OWN_NAME, "starting")
    async with Supervisor(printer) as supervisor:
        await start(supervisor, settings, shape, {})
        printer.line(OWN_NAME, f"ready at {shape.url}")
        await supervisor.wait()
    return supervisor.exit_status


async def start(supervisor: Supervisor, settings: Settings, shape: Shape, env: Mapping[str, str]) -> None:
    """Starts everything and returns when it is ready.

    `env` are further variables for the processes, which also get the API's port as `PORT`.
    """
    if not settings.redis_url:
        make_private(settings.var_dir)
        valkey = EmbeddedValkey(settings.var_dir)
        env = {**env, "CONNECTOR_REDIS_URL": valkey.url}
        await supervisor.start(valkey.command)
        await supervisor.wait_until(valkey.answers, what="Valkey", seconds=_START_SECONDS)
        note_redis_url(settings, valkey.url)
    grace = settings.grace_seconds + _FINISH_SECONDS
    variables = {**env, "PORT": str(shape.port)}
    for name, argv in (shape.processes or _usual(shape)).items():
        names = _numbered(name, shape.workers) if name == "worker" else [name]
        places = enumerate(names, start=1 if name == "worker" else 0)
        commands = (
            Command(each, argv, env={**variables, **_metrics_port(settings, place)}, grace=grace)
            for place, each in places
        )
        await supervisor.start(*commands)
    # In this order, because the API complains in its log about every probe it has to refuse.
    await _until_worker_lives(supervisor, env.get("CONNECTOR_REDIS_URL") or settings.redis)
    await _until_ready(supervisor, shape.url)


def _usual(shape: Shape) -> Mapping[str, list[str]]:
    connector = [sys.executable, "-m", "cli"]
    return {
        "worker": [*connector, "worker"],
        "beat": [*connector, "beat"],
        "api": [*connector, "api", "--host", shape.host],
    }


def _metrics_port(settings: Settings, place: int) -> dict[str, str]:
    """On one machine beat and each worker need a port of their own."""
    return {"CONNECTOR_METRICS_PORT": str(settings.metrics_port + place)} if settings.metrics_port else {}


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]


async def _until_worker_lives(supervisor: Supervisor, redis_url: str) -> None:
    async with Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2) as redis:

        async def worker_lives() -> bool:
            try:
                return bool(await redis.exists(WORKER_ALIVE_KEY))
            except RedisError:
                return False

        await supervisor.wait_until(worker_lives, what="a worker", seconds=_START_SECONDS)


async def _until_ready(supervisor: Supervisor, url: str) -> None:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5.0) as client:

        async def is_ready() -> bool:
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await supervisor.wait_until(is_ready, what="the API to be ready", seconds=_START_SECONDS)
