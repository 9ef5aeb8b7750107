"""A worker and beat in this process, without the banners and options of Celery's own command line."""

import os
import socket
import warnings

from celery.exceptions import SecurityWarning
from prometheus_client import CollectorRegistry

from cli.failures import CommandFailed
from cli.memory import share_arenas
from connections import tracing
from connections.db import Database
from connections.logs import configure_logging
from connections.settings import Settings, load_settings


def run_worker(threads: int | None, queues: str | None) -> None:
    """Consumes until SIGTERM, then finishes what it has begun. Raises `SettingsError` when something is missing.

    `threads` takes the place of the setting in this process.
    """
    share_arenas()
    if threads is not None:
        # In the environment, because the parts read the settings for themselves: database pool, DNS threads.
        os.environ["CONNECTOR_WORKER_THREADS"] = str(threads)
    settings = load_settings()
    from worker.app import app
    from worker.tasks import worker

    configure_logging(settings, "worker")
    tracing.start(settings, "worker")
    # Celery warns of root because pickled messages could run anything; this app takes JSON only.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    built = worker()  # here rather than in Celery's signal, which would log a wrong setting and go on
    if settings.metrics_port:
        _serve_metrics(settings, built.metrics.registry)
    process = app.Worker(
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        concurrency=settings.worker_threads,
        queues=queues,
        quiet=True,
        # Workers know each other through the tables only; asking around costs a second at the start.
        without_gossip=True,
        without_mingle=True,
        # Events that nobody reads; while RabbitMQ hangs, the main loop would hang with sending one.
        without_heartbeat=bool(settings.broker_url),
    )
    process.start()
    raise SystemExit(process.exitcode)


def run_beat() -> None:
    """Ticks until SIGTERM. Raises `SettingsError` when something is missing."""
    settings = load_settings()
    from worker.app import app

    configure_logging(settings, "beat")
    if settings.metrics_port:
        from messaging.depth import queue_depth
        from worker.beat_metrics import beat_registry
        from worker.redis_client import redis_client

        database, client = Database(settings.database, pool_size=1), redis_client(settings.redis)
        _serve_metrics(settings, beat_registry(database, client, queue_depth(settings, app, client)))
    app.Beat(quiet=True).run()


def _serve_metrics(settings: Settings, registry: CollectorRegistry) -> None:
    """Until the process ends. Raises `CommandFailed` when the port is taken."""
    from worker.metrics_server import MetricsServer

    try:
        MetricsServer(settings.metrics_host, settings.metrics_port, registry)
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise CommandFailed(f"cannot serve metrics at {where}: {error.strerror}") from error
