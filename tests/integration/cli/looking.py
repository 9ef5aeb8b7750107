"""What whoever runs the service types, beside real servers and a sandbox of Bluesky."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from sandbox.process import SandboxProcess
from tests.servers import Valkey
from worker.heartbeat import Heartbeat
from worker.redis_client import redis_client
from worker.ticks import Ticks

Connector = Callable[..., Result]


def operator_of(
    monkeypatch: pytest.MonkeyPatch, *, var_dir: Path, database_url: str, valkey: Valkey, sandbox: SandboxProcess
) -> Connector:
    """Runs a command with settings that name all of these."""
    for name, value in {
        "VAR_DIR": str(var_dir),
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey.url,
        "PLC_URL": sandbox.plc_url,
        "BLUESKY_URL": sandbox.pds_url,
        "DNS_SERVERS": sandbox.dns_address,
    }.items():
        monkeypatch.setenv(f"CONNECTOR_{name}", value)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, arguments, prog_name="connector", catch_exceptions=False)


@contextmanager
def imitated_worker(valkey: Valkey, *, threads: int = 64, ticks: bool = True) -> Iterator[None]:
    """Leaves in Redis what a worker does as long as it lives; with `ticks` what one does that beat wakes."""
    client = redis_client(valkey.url)
    heartbeat, ends = Heartbeat(client, threads=threads, address="default"), threading.Event()

    def live() -> None:
        heartbeat.beat(renew=True)
        if ticks:
            Ticks(client).note()

    def live_on() -> None:
        while not ends.wait(1.0):
            live()

    live()
    thread = threading.Thread(target=live_on)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
        client.close()
