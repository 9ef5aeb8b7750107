"""The commands that run the service, whole or in parts."""

from pathlib import Path
from typing import Annotated

import typer

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="Port of the API.")]
Workers = Annotated[int, typer.Option(envvar="WORKERS", min=1, max=64, help="Number of worker processes.")]

_LOOPBACK = "127.0.0.1"


def up(
    host: Host = _LOOPBACK,
    port: Port = 8000,
    workers: Workers = 1,
    procfile: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Run what it lists; its API listens on $PORT."),
    ] = None,
) -> None:
    """Run everything in the foreground.

    That is the API, workers, beat, and a Valkey if CONNECTOR_REDIS_URL is not set.
    """
    from cli import stack
    from cli.procfile import read_procfile
    from connections.settings import load_settings

    processes = read_procfile(procfile) if procfile else None
    raise typer.Exit(stack.up(load_settings(), stack.Shape(host, port, workers, processes)))


def demo(port: Port = 8000, workers: Workers = 1) -> None:
    """Run everything, with a sandbox of Bluesky (`make run`).

    Makes a workspace, a profile and a key once, and says what to try.
    """
    from cli.demo import run

    raise typer.Exit(run(port, workers))


def api(host: Host = _LOOPBACK, port: Port = 8000) -> None:
    """Run the API."""
    from api_shim.server import serve
    from cli.memory import share_arenas
    from cli.ports import require_free
    from connections import tracing
    from connections.logs import configure_logging
    from connections.settings import load_settings

    share_arenas()
    settings = load_settings()
    configure_logging(settings, "api")
    tracing.start(settings, "api")
    require_free(host, port)
    serve(settings, host, port)


def worker(
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Attempts at the same time; else CONNECTOR_WORKER_THREADS.")
    ] = None,
    queues: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME", help="Of connect, connect.bulk, connect.control and connect.upkeep; else all."
        ),
    ] = None,
) -> None:
    """Run one worker. SIGTERM lets it finish what it has begun."""
    from cli.celery_processes import run_worker

    run_worker(threads, queues)


def beat() -> None:
    """Run the clock that wakes the sweep. One is enough, two do no harm."""
    from cli.celery_processes import run_beat

    run_beat()


def migrate() -> None:
    """Create the tables, or bring them up to date."""
    from cli.tables import migrate_tables
    from connections.settings import load_settings

    migrate_tables(load_settings())
    typer.echo("The database is up to date.")
