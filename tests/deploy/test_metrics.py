"""Dashboard and alerts are checked against a table of metrics, and the table against what the processes expose."""

from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api_shim.metrics import Metrics
from connections.db import Database
from connections.service import ConnectService
from connections.settings import Settings
from connections.vault import Sealer, ShimKeys, ensure_development_keys
from messaging.depth import redis_depth
from tests.deploy.metrics import (
    HISTOGRAMS_OF_API,
    HISTOGRAMS_OF_WORKERS,
    OF_ALL,
    OF_API,
    OF_BEAT,
    OF_DATABASE,
    OF_WORKERS,
)
from tests.factories import connect_command, make_tenant
from tests.servers import Valkey
from worker.beat_metrics import beat_registry
from worker.clock import SENT
from worker.metrics import WorkerMetrics
from worker.pace import Unpaced
from worker.pacing import Room
from worker.platforms.base import build_platforms

# Of Python and of Prometheus, more than we look at.
_FOREIGN = ("process_", "python_")


def exposed(text: str) -> dict[str, set[str]]:
    """Names of samples and their labels; of a histogram its own name."""
    found = defaultdict[str, set[str]](set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                name = family.name if family.type == "histogram" else sample.name
                found[name] |= sample.labels.keys() - {"le"}
    return {name: labels for name, labels in found.items() if not name.startswith(_FOREIGN)}


def ours(*tables: dict[str, set[str]]) -> dict[str, set[str]]:
    return {name: labels for table in tables for name, labels in table.items() if not name.startswith(_FOREIGN)}


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return Database(sqlite_url)


def test_of_the_api(database: Database) -> None:
    metrics = Metrics(
        database,
        waiting=lambda: 0,
        listening=lambda: 0,
        queue_age=lambda: 0,
        refused={"key_rate": lambda: 0},
        calls={"reading": lambda: 0},
    )
    metrics.observe("GET", "/healthz", 200, 0.01)
    assert exposed(metrics.render().decode()) == ours(OF_API, HISTOGRAMS_OF_API, OF_DATABASE, OF_ALL)


def test_of_a_worker(database: Database) -> None:
    metrics = WorkerMetrics()
    metrics.attempted("bluesky", "connected", 0.1)
    metrics.retried("bluesky", "upstream_error")
    metrics.begun("bluesky", 0.1)
    metrics.requested("bsky.social", 200, 0.1)
    metrics.swept("connect")
    metrics.webhook_attempted("delivered")
    metrics.session_ended("bluesky", "ended")
    metrics.refreshed("bluesky", "refreshed")
    platforms = build_platforms(Settings(dns_servers=("127.0.0.1:53",)), Unpaced())
    room = Room(requests=1, rate=1, wait=0, seconds=None)
    metrics.watch(database, lambda: {"bsky.social": room}, threads=1, busy=lambda: 0, platforms=platforms)
    for platform in platforms.values():
        platform.close()
    assert exposed(text_of(metrics.registry)) == ours(OF_WORKERS, HISTOGRAMS_OF_WORKERS, OF_DATABASE, OF_ALL)


def test_of_beat(database: Database, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(var_dir=tmp_path / "var")
    ensure_development_keys(settings)
    service = ConnectService(database, Sealer(ShimKeys.load(settings.shim_keys_path, settings)), settings)
    tenant = make_tenant(database)
    service.accept(tenant.caller, connect_command("alice.test"), request_id="req_1", reply_to="shim_1", wait=0)
    monkeypatch.setitem(SENT, "sweep", 1)
    with valkey.client() as client:
        text = text_of(beat_registry(database, client, redis_depth(client)))
    assert exposed(text) == ours(OF_BEAT, OF_ALL)


def text_of(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()
