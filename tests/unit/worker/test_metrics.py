"""What a worker counts."""

from prometheus_client import generate_latest

from connections.settings import Settings
from worker.hosts import host_classes
from worker.metrics import CONNECTED, WorkerMetrics


def lines(metrics: WorkerMetrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_attempts_by_cause() -> None:
    metrics = WorkerMetrics()
    metrics.attempted("bluesky", CONNECTED, 0.3)
    metrics.attempted("bluesky", "handle_not_found", 0.2)
    metrics.retried("bluesky", "upstream_error")

    text = lines(metrics)
    assert 'connector_attempts_total{cause="connected",platform="bluesky"} 1.0' in text
    assert 'connector_attempts_total{cause="handle_not_found",platform="bluesky"} 1.0' in text
    assert 'connector_attempt_seconds_count{platform="bluesky"} 2.0' in text
    assert 'connector_retries_total{cause="upstream_error",platform="bluesky"} 1.0' in text


def test_hosts_are_told_by_what_they_are_for_and_strangers_have_no_name() -> None:
    metrics = WorkerMetrics(host_classes(Settings()))
    metrics.requested("bsky.social", 200, 0.1)
    metrics.requested("plc.directory", 404, 0.1)
    metrics.requested("alice.example.com", 418, 0.1)
    metrics.requested("alice.example.com:8443", None, 5.0)

    text = lines(metrics)
    assert 'connector_upstream_requests_total{host_class="hosted",status="200"} 1.0' in text
    assert 'connector_upstream_requests_total{host_class="directory",status="404"} 1.0' in text
    assert 'connector_upstream_requests_total{host_class="other",status="4xx"} 1.0' in text
    assert 'connector_upstream_requests_total{host_class="other",status="none"} 1.0' in text
    assert 'connector_upstream_seconds_count{host_class="other"} 2.0' in text
    assert not any("alice" in line for line in text)


def test_the_rest() -> None:
    metrics = WorkerMetrics()
    metrics.lease_lost()
    metrics.swept("connect")
    metrics.begun("bluesky", 0.02)

    text = lines(metrics)
    assert "connector_leases_lost_total 1.0" in text
    assert 'connector_tasks_swept_total{queue="connect"} 1.0' in text
    assert 'connector_task_wait_seconds_bucket{le="0.025",platform="bluesky"} 1.0' in text
    assert any(line.startswith('connector_build_info{process="worker",version="') for line in text)
